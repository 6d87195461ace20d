//! PUBACK, PUBREC, PUBREL and PUBCOMP.

pub const TEXT: &str = r#"
@ MQTT 5

PUBACK with flags 1 [MQTT-2.1.3-1]
  > 41 02 0001
  < e0 01 81
  closed

PUBACK with flags 2 [MQTT-2.1.3-1]
  > 42 02 0001
  < e0 01 81
  closed

PUBACK with flags 8 [MQTT-2.1.3-1]
  > 48 02 0001
  < e0 01 81
  closed

PUBACK with Packet Identifier 0 [MQTT-2.2.1-3]
  > 40 02 0000
  < e0 01 82
  closed

PUBACK with half a Packet Identifier
  > 40 01 00
  < e0 01 81
  closed

PUBACK with Reason Code 0x7f, which is none
  > 40 03 0001 7f
  < e0 01 82
  closed

PUBACK with a Reason Code of another packet [MQTT-3.4.2-1]
  > 40 03 0001 92
  < e0 01 82
  closed

PUBACK with Reason Code 0x10, which only a server sends [MQTT-3.4.2-1]
  > 40 03 0001 10
  < e0 01 82
  closed

PUBACK with properties longer than the packet
  > 40 04 0001 00 05
  < e0 01 81
  closed

PUBACK with a byte behind its properties
  > 40 05 0001 00 00 00
  < e0 01 81
  closed

PUBACK with a property of another packet
  > 40 06 0001 00 02 01 01
  < e0 01 81
  closed

PUBACK with two Reason Strings, section 3.4.2.2
  > 40 0c 0001 00 08 1f 0001 'a' 1f 0001 'b'
  < e0 01 82
  closed

PUBACK with a Reason String that is no UTF-8 [MQTT-1.5.4-1]
  > 40 08 0001 00 04 1f 0001 ff
  < e0 01 81
  closed

PUBREC with flags 1 [MQTT-2.1.3-1]
  > 51 02 0001
  < e0 01 81
  closed

PUBREC with flags 2 [MQTT-2.1.3-1]
  > 52 02 0001
  < e0 01 81
  closed

PUBREC with flags 8 [MQTT-2.1.3-1]
  > 58 02 0001
  < e0 01 81
  closed

PUBREC with Packet Identifier 0 [MQTT-2.2.1-3]
  > 50 02 0000
  < e0 01 82
  closed

PUBREC with half a Packet Identifier
  > 50 01 00
  < e0 01 81
  closed

PUBREC with Reason Code 0x7f, which is none
  > 50 03 0001 7f
  < e0 01 82
  closed

PUBREC with a Reason Code of another packet [MQTT-3.5.2-1]
  > 50 03 0001 92
  < e0 01 82
  closed

PUBREC with Reason Code 0x10, which only a server sends [MQTT-3.5.2-1]
  > 50 03 0001 10
  < e0 01 82
  closed

PUBREC with properties longer than the packet
  > 50 04 0001 00 05
  < e0 01 81
  closed

PUBREC with a byte behind its properties
  > 50 05 0001 00 00 00
  < e0 01 81
  closed

PUBREC with a property of another packet
  > 50 06 0001 00 02 01 01
  < e0 01 81
  closed

PUBREC with two Reason Strings, section 3.5.2.2
  > 50 0c 0001 00 08 1f 0001 'a' 1f 0001 'b'
  < e0 01 82
  closed

PUBREC with a Reason String that is no UTF-8 [MQTT-1.5.4-1]
  > 50 08 0001 00 04 1f 0001 ff
  < e0 01 81
  closed

PUBREL with flags 0 [MQTT-3.6.1-1]
  > 60 02 0001
  < e0 01 81
  closed

PUBREL with flags 1 [MQTT-3.6.1-1]
  > 61 02 0001
  < e0 01 81
  closed

PUBREL with flags 3 [MQTT-3.6.1-1]
  > 63 02 0001
  < e0 01 81
  closed

PUBREL with flags a [MQTT-3.6.1-1]
  > 6a 02 0001
  < e0 01 81
  closed

PUBREL with flags 6 [MQTT-3.6.1-1]
  > 66 02 0001
  < e0 01 81
  closed

PUBREL with Packet Identifier 0 [MQTT-2.2.1-3]
  > 62 02 0000
  < e0 01 82
  closed

PUBREL with half a Packet Identifier
  > 62 01 00
  < e0 01 81
  closed

PUBREL with Reason Code 0x7f, which is none
  > 62 03 0001 7f
  < e0 01 82
  closed

PUBREL with a Reason Code of another packet [MQTT-3.6.2-1]
  > 62 03 0001 10
  < e0 01 82
  closed

PUBREL with properties longer than the packet
  > 62 04 0001 00 05
  < e0 01 81
  closed

PUBREL with a byte behind its properties
  > 62 05 0001 00 00 00
  < e0 01 81
  closed

PUBREL with a property of another packet
  > 62 06 0001 00 02 01 01
  < e0 01 81
  closed

PUBREL with two Reason Strings, section 3.6.2.2
  > 62 0c 0001 00 08 1f 0001 'a' 1f 0001 'b'
  < e0 01 82
  closed

PUBREL with a Reason String that is no UTF-8 [MQTT-1.5.4-1]
  > 62 08 0001 00 04 1f 0001 ff
  < e0 01 81
  closed

PUBCOMP with flags 1 [MQTT-2.1.3-1]
  > 71 02 0001
  < e0 01 81
  closed

PUBCOMP with flags 2 [MQTT-2.1.3-1]
  > 72 02 0001
  < e0 01 81
  closed

PUBCOMP with flags 8 [MQTT-2.1.3-1]
  > 78 02 0001
  < e0 01 81
  closed

PUBCOMP with Packet Identifier 0 [MQTT-2.2.1-3]
  > 70 02 0000
  < e0 01 82
  closed

PUBCOMP with half a Packet Identifier
  > 70 01 00
  < e0 01 81
  closed

PUBCOMP with Reason Code 0x7f, which is none
  > 70 03 0001 7f
  < e0 01 82
  closed

PUBCOMP with a Reason Code of another packet [MQTT-3.7.2-1]
  > 70 03 0001 80
  < e0 01 82
  closed

PUBCOMP with properties longer than the packet
  > 70 04 0001 00 05
  < e0 01 81
  closed

PUBCOMP with a byte behind its properties
  > 70 05 0001 00 00 00
  < e0 01 81
  closed

PUBCOMP with a property of another packet
  > 70 06 0001 00 02 01 01
  < e0 01 81
  closed

PUBCOMP with two Reason Strings, section 3.7.2.2
  > 70 0c 0001 00 08 1f 0001 'a' 1f 0001 'b'
  < e0 01 82
  closed

PUBCOMP with a Reason String that is no UTF-8 [MQTT-1.5.4-1]
  > 70 08 0001 00 04 1f 0001 ff
  < e0 01 81
  closed

PUBREL of what was never published, section 3.7.2.1
  > 62 02 0009
  < 70 03 0009 92
  open

PUBREL of what was never published, with 0x92
  > 62 03 0009 92
  < 70 03 0009 92
  open

PUBREC of what was never sent, section 3.6.2.1
  > 50 02 0009
  < 62 03 0009 92
  open

PUBREC of what was never sent, which says that it failed: there is nothing to release
  > 50 03 0009 80
  open

PUBACK of what was never sent
  > 40 02 0009
  open

PUBCOMP of what was never sent
  > 70 02 0009
  open

@ MQTT 3.1.1

PUBACK with flags 2 [3.1.1: MQTT-2.2.2-2]
  > 42 02 0001
  closed

PUBACK with Packet Identifier 0 [3.1.1: MQTT-2.3.1-1]
  > 40 02 0000
  closed

PUBACK with half a Packet Identifier
  > 40 01 00
  closed

PUBACK with a Reason Code, which only MQTT 5 has
  > 40 03 0001 00
  closed

PUBREC with flags 2 [3.1.1: MQTT-2.2.2-2]
  > 52 02 0001
  closed

PUBREC with Packet Identifier 0 [3.1.1: MQTT-2.3.1-1]
  > 50 02 0000
  closed

PUBREC with half a Packet Identifier
  > 50 01 00
  closed

PUBREC with a Reason Code, which only MQTT 5 has
  > 50 03 0001 00
  closed

PUBREL with flags 0 [3.1.1: MQTT-3.6.1-1]
  > 60 02 0001
  closed

PUBREL with flags a [3.1.1: MQTT-3.6.1-1]
  > 6a 02 0001
  closed

PUBREL with Packet Identifier 0 [3.1.1: MQTT-2.3.1-1]
  > 62 02 0000
  closed

PUBREL with half a Packet Identifier
  > 62 01 00
  closed

PUBREL with a Reason Code, which only MQTT 5 has
  > 62 03 0001 00
  closed

PUBCOMP with flags 2 [3.1.1: MQTT-2.2.2-2]
  > 72 02 0001
  closed

PUBCOMP with Packet Identifier 0 [3.1.1: MQTT-2.3.1-1]
  > 70 02 0000
  closed

PUBCOMP with half a Packet Identifier
  > 70 01 00
  closed

PUBCOMP with a Reason Code, which only MQTT 5 has
  > 70 03 0001 00
  closed

PUBREL of what was never published: it must be answered [3.1.1: MQTT-4.3.3-2]
  > 62 02 0009
  < 70 02 0009
  open

PUBREC of what was never sent: the peer can end its exchange
  > 50 02 0009
  < 62 02 0009
  open

PUBACK of what was never sent
  > 40 02 0009
  open

@ MQTT 3.1

PUBREL with DUP, which MQTT 3.1 allows
  > 6a 02 0009
  < 70 02 0009
  open

PUBREL with flags 0
  > 60 02 0009
  closed

PUBACK with Packet Identifier 0
  > 40 02 0000
  closed

@ MQTT 5, and a message was delivered to it

PUBREC for QoS 1: not what its state allows, section 4.13.1
  > 82 07 0001 00 0001 'o' 02
  < 90 04 0001 00 02
  > 32 07 0001 'o' 0002 00 'a'
  < 32 07 0001 'o' 0001 00 'a' 40 02 0002
  > 50 02 0001
  < e0 01 82
  closed

PUBCOMP for QoS 1
  > 82 07 0001 00 0001 'o' 02
  < 90 04 0001 00 02
  > 32 07 0001 'o' 0002 00 'a'
  < 32 07 0001 'o' 0001 00 'a' 40 02 0002
  > 70 02 0001
  < e0 01 82
  closed

PUBACK for QoS 2
  > 82 07 0001 00 0001 'o' 02
  < 90 04 0001 00 02
  > 34 07 0001 'o' 0002 00 'a'
  < 34 07 0001 'o' 0001 00 'a' 50 02 0002
  > 40 02 0001
  < e0 01 82
  closed

PUBCOMP for QoS 2 before PUBREC
  > 82 07 0001 00 0001 'o' 02
  < 90 04 0001 00 02
  > 34 07 0001 'o' 0002 00 'a'
  < 34 07 0001 'o' 0001 00 'a' 50 02 0002
  > 70 02 0001
  < e0 01 82
  closed

PUBACK for QoS 2 after PUBREC
  > 82 07 0001 00 0001 'o' 02
  < 90 04 0001 00 02
  > 34 07 0001 'o' 0002 00 'a'
  < 34 07 0001 'o' 0001 00 'a' 50 02 0002
  > 50 02 0001
  < 62 02 0001
  > 40 02 0001
  < e0 01 82
  closed

PUBREC twice: answered twice, an old one may have been repeated
  > 82 07 0001 00 0001 'o' 02
  < 90 04 0001 00 02
  > 34 07 0001 'o' 0002 00 'a'
  < 34 07 0001 'o' 0001 00 'a' 50 02 0002
  > 50 02 0001
  < 62 02 0001
  > 50 02 0001
  < 62 02 0001
  > 70 02 0001
  > 70 02 0001
  open

@ MQTT 3.1.1, and a message was delivered to it

PUBREC for QoS 1 [3.1.1: MQTT-4.8.0-1]
  > 82 06 0001 0001 'o' 02
  < 90 03 0001 02
  > 32 06 0001 'o' 0002 'a'
  < 32 06 0001 'o' 0001 'a' 40 02 0002
  > 50 02 0001
  closed

PUBACK for QoS 2 [3.1.1: MQTT-4.8.0-1]
  > 82 06 0001 0001 'o' 02
  < 90 03 0001 02
  > 34 06 0001 'o' 0002 'a'
  < 34 06 0001 'o' 0001 'a' 50 02 0002
  > 40 02 0001
  closed

PUBCOMP for QoS 2 before PUBREC [3.1.1: MQTT-4.8.0-1]
  > 82 06 0001 0001 'o' 02
  < 90 03 0001 02
  > 34 06 0001 'o' 0002 'a'
  < 34 06 0001 'o' 0001 'a' 50 02 0002
  > 70 02 0001
  closed
"#;

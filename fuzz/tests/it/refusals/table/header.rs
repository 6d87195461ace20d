//! Fixed headers, PINGREQ, DISCONNECT, AUTH, and what only a server sends.

pub const TEXT: &str = r#"
@ MQTT 5

packet type 0, which is reserved
  > 00 00
  < e0 01 81
  closed

Remaining Length of five bytes [MQTT-1.5.5-1]
  > 30 8080808001
  < e0 01 81
  closed

Remaining Length of five bytes that all go on
  > 30 ffffffffff
  < e0 01 81
  closed

Remaining Length in more bytes than it needs [MQTT-1.5.5-1]
  > c0 8000
  < e0 01 81
  closed

PINGREQ with flags 1 [MQTT-2.1.3-1]
  > c1 00
  < e0 01 81
  closed

PINGREQ with flags 2 [MQTT-2.1.3-1]
  > c2 00
  < e0 01 81
  closed

PINGREQ with flags 8 [MQTT-2.1.3-1]
  > c8 00
  < e0 01 81
  closed

PINGREQ with a byte
  > c0 01 00
  < e0 01 81
  closed

a second CONNECT [MQTT-3.1.0-2]
  > 10 0e 0004 'MQTT' 05 02 003c 00 0001 'x'
  < e0 01 82
  closed

a second CONNECT, of MQTT 3.1.1 [MQTT-3.1.0-2]
  > 10 0d 0004 'MQTT' 04 02 003c 0001 'x'
  < e0 01 82
  closed

a second CONNECT that is malformed
  > 10 0e 0004 'MQTT' 05 03 003c 00 0001 'x'
  < e0 01 81
  closed

a second CONNECT of a level that is not known: it is one too many and cannot be read
  > 10 0e 0004 'MQTT' 06 02 003c 00 0001 'x'
  < e0 01 82
  closed

CONNACK, which only a server sends
  > 20 03 00 00 00
  < e0 01 82
  closed

SUBACK, which only a server sends
  > 90 04 0001 00 00
  < e0 01 82
  closed

UNSUBACK, which only a server sends
  > b0 04 0001 00 00
  < e0 01 82
  closed

PINGRESP, which only a server sends
  > d0 00
  < e0 01 82
  closed

DISCONNECT with flags 1 [MQTT-3.14.1-1]
  > e1 00
  < e0 01 81
  closed

DISCONNECT with flags f [MQTT-3.14.1-1]
  > ef 00
  < e0 01 81
  closed

DISCONNECT with Reason Code 0x05, which is none [MQTT-3.14.2-1]
  > e0 01 05
  < e0 01 82
  closed

DISCONNECT with a Reason Code of another packet [MQTT-3.14.2-1]
  > e0 01 10
  < e0 01 82
  closed

DISCONNECT with 0x87, not authorized, which only a server says [MQTT-3.14.2-1]
  > e0 01 87
  < e0 01 82
  closed

DISCONNECT with 0x89, server busy, which only a server says [MQTT-3.14.2-1]
  > e0 01 89
  < e0 01 82
  closed

DISCONNECT with 0x8b, server shutting down, which only a server says [MQTT-3.14.2-1]
  > e0 01 8b
  < e0 01 82
  closed

DISCONNECT with 0x8d, keep alive timeout, which only a server says [MQTT-3.14.2-1]
  > e0 01 8d
  < e0 01 82
  closed

DISCONNECT with 0x8e, session taken over, which only a server says [MQTT-3.14.2-1]
  > e0 01 8e
  < e0 01 82
  closed

DISCONNECT with 0x8f, topic filter invalid, which only a server says [MQTT-3.14.2-1]
  > e0 01 8f
  < e0 01 82
  closed

DISCONNECT with 0x9a, retain not supported, which only a server says [MQTT-3.14.2-1]
  > e0 01 9a
  < e0 01 82
  closed

DISCONNECT with 0x9d, server moved, which only a server says [MQTT-3.14.2-1]
  > e0 01 9d
  < e0 01 82
  closed

DISCONNECT with 0xa2, wildcard subscriptions not supported, which only a server says [MQTT-3.14.2-1]
  > e0 01 a2
  < e0 01 82
  closed

DISCONNECT with properties longer than the packet
  > e0 02 00 05
  < e0 01 81
  closed

DISCONNECT with a byte behind its properties
  > e0 03 00 00 00
  < e0 01 81
  closed

DISCONNECT with a property of another packet
  > e0 05 00 03 21 000a
  < e0 01 81
  closed

DISCONNECT with a property that is none
  > e0 03 00 01 7f
  < e0 01 81
  closed

DISCONNECT with two Reason Strings, section 3.14.2.2.3
  > e0 0a 00 08 1f 0001 'a' 1f 0001 'b'
  < e0 01 82
  closed

DISCONNECT with a Reason String that is no UTF-8 [MQTT-1.5.4-1]
  > e0 06 00 04 1f 0001 ff
  < e0 01 81
  closed

DISCONNECT that prolongs a session which was to end, section 3.14.2.2.2
  > e0 07 00 05 11 0000003c
  < e0 01 82
  closed

DISCONNECT with two Session Expiry Intervals, section 3.14.2.2.2
  > e0 0c 00 0a 11 00000000 11 00000000
  < e0 01 82
  closed

a DISCONNECT that is right is answered with nothing
  > e0 00
  closed

a DISCONNECT that wants the Will is answered with nothing
  > e0 01 04
  closed

AUTH with flags 1 [MQTT-3.15.1-1]
  > f1 00
  < e0 01 81
  closed

an empty AUTH though CONNECT had no Authentication Method [MQTT-4.12.0-7]
  > f0 00
  < e0 01 82
  closed

re-authentication though CONNECT had no Authentication Method [MQTT-4.12.1-1]
  > f0 06 19 04 15 0001 'm'
  < e0 01 82
  closed

AUTH that goes on with what never began [MQTT-4.12.0-7]
  > f0 0a 18 08 15 0001 'm' 16 0001 'd'
  < e0 01 82
  closed

re-authentication without a method
  > f0 02 19 00
  < e0 01 82
  closed

AUTH with Reason Code 0x17, which is none [MQTT-3.15.2-1]
  > f0 02 17 00
  < e0 01 82
  closed

AUTH with a Reason Code of another packet [MQTT-3.15.2-1]
  > f0 02 87 00
  < e0 01 82
  closed

AUTH with two methods, section 3.15.2.2.2
  > f0 0a 19 08 15 0001 'm' 15 0001 'm'
  < e0 01 82
  closed

AUTH with a property of another packet
  > f0 07 19 05 11 0000003c
  < e0 01 81
  closed

AUTH with a Reason Code and no Property Length
  > f0 01 19
  < e0 01 81
  closed

AUTH with a byte behind its properties
  > f0 03 19 00 00
  < e0 01 81
  closed

@ MQTT 3.1.1

packet type 0, which is reserved
  > 00 00
  closed

packet type 15, which is reserved
  > f0 00
  closed

AUTH, which is of MQTT 5
  > f0 02 18 00
  closed

Remaining Length of five bytes
  > 30 8080808001
  closed

PINGREQ with flags 1 [3.1.1: MQTT-2.2.2-2]
  > c1 00
  closed

PINGREQ with a byte
  > c0 01 00
  closed

Remaining Length in more bytes than it needs is no fault before MQTT 5
  > c0 8000
  < d0 00
  open

a second CONNECT [3.1.1: MQTT-3.1.0-2]
  > 10 0d 0004 'MQTT' 04 02 003c 0001 'x'
  closed

a second CONNECT, of MQTT 5 [3.1.1: MQTT-3.1.0-2]
  > 10 0e 0004 'MQTT' 05 02 003c 00 0001 'x'
  closed

a second CONNECT that is malformed
  > 10 0d 0004 'MQTT' 04 03 003c 0001 'x'
  closed

CONNACK, which only a server sends
  > 20 02 0000
  closed

SUBACK, which only a server sends
  > 90 03 0001 00
  closed

UNSUBACK, which only a server sends
  > b0 02 0001
  closed

PINGRESP, which only a server sends
  > d0 00
  closed

DISCONNECT with flags 1 [3.1.1: MQTT-3.14.1-1]
  > e1 00
  closed

DISCONNECT with a Reason Code, which only MQTT 5 has
  > e0 01 00
  closed

@ MQTT 3.1

packet type 0
  > 00 00
  closed

packet type 15
  > f0 00
  closed

a second CONNECT
  > 10 0f 0006 'MQIsdp' 03 02 003c 0001 'x'
  closed

PINGREQ with a byte
  > c0 01 00
  closed

@ MQTT 5, and good and bad packets come in one segment

what goes before the bad one is answered
  > c0 00 c1 00
  < d0 00 e0 01 81
  closed

what follows the bad one is not [MQTT-4.13.1-1]
  > c1 00 c0 00
  < e0 01 81
  closed

what follows DISCONNECT is not read [MQTT-3.14.4-1]
  > e0 00 c0 00
  closed

@ nothing, and good and bad packets come in one segment

CONNECT and a bad packet, which travel to the home together [3.1.1: MQTT-4.8.0-1]
  > 10 14 0004 'MQTT' 04 02 003c 0008 'traveler' c0 00 c1 00
  < 20 02 0000 d0 00
  closed

two CONNECTs [3.1.1: MQTT-3.1.0-2]
  > 10 0f 0004 'MQTT' 04 02 003c 0003 'two' 10 0f 0004 'MQTT' 04 02 003c 0003 'two'
  < 20 02 0000
  closed

what follows a CONNECT that is refused is not read
  > 10 0c 0004 'MQTT' 04 00 003c 0000 c0 00
  < 20 02 00 02
  closed

CONNECT and DISCONNECT: the shortest visit
  > 10 11 0004 'MQTT' 04 02 003c 0005 'short' e0 00
  < 20 02 0000
  closed
"#;

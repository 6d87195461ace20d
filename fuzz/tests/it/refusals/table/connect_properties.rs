//! The properties of CONNECT and of its Will.

pub const TEXT: &str = r#"
@ nothing, and it speaks MQTT 5

Property Identifier 0x00, which is none
  > 10 10 0004 'MQTT' 05 02 003c 02 00 01 0001 'x'
  < 20 03 00 81 00
  closed

Property Identifier 0x04, which is none
  > 10 10 0004 'MQTT' 05 02 003c 02 04 01 0001 'x'
  < 20 03 00 81 00
  closed

Property Identifier 0x0a, which is none
  > 10 10 0004 'MQTT' 05 02 003c 02 0a 01 0001 'x'
  < 20 03 00 81 00
  closed

Property Identifier 0x7f, which is none
  > 10 10 0004 'MQTT' 05 02 003c 02 7f 01 0001 'x'
  < 20 03 00 81 00
  closed

a Property Identifier of two bytes, which are none
  > 10 11 0004 'MQTT' 05 02 003c 03 8101 01 0001 'x'
  < 20 03 00 81 00
  closed

Payload Format Indicator, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 01 01 0001 'x'
  < 20 03 00 81 00
  closed

Message Expiry Interval, which is of another packet: section 2.2.2.2 says malformed
  > 10 13 0004 'MQTT' 05 02 003c 05 02 0000003c 0001 'x'
  < 20 03 00 81 00
  closed

Content Type, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 03 0001 'c' 0001 'x'
  < 20 03 00 81 00
  closed

Response Topic, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 08 0001 'r' 0001 'x'
  < 20 03 00 81 00
  closed

Correlation Data, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 09 0001 'd' 0001 'x'
  < 20 03 00 81 00
  closed

Subscription Identifier, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 0b 01 0001 'x'
  < 20 03 00 81 00
  closed

Assigned Client Identifier, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 12 0001 'i' 0001 'x'
  < 20 03 00 81 00
  closed

Server Keep Alive, which is of another packet: section 2.2.2.2 says malformed
  > 10 11 0004 'MQTT' 05 02 003c 03 13 003c 0001 'x'
  < 20 03 00 81 00
  closed

Will Delay Interval, which is of another packet: section 2.2.2.2 says malformed
  > 10 13 0004 'MQTT' 05 02 003c 05 18 0000003c 0001 'x'
  < 20 03 00 81 00
  closed

Response Information, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 1a 0001 'i' 0001 'x'
  < 20 03 00 81 00
  closed

Server Reference, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 1c 0001 's' 0001 'x'
  < 20 03 00 81 00
  closed

Reason String, which is of another packet: section 2.2.2.2 says malformed
  > 10 12 0004 'MQTT' 05 02 003c 04 1f 0001 's' 0001 'x'
  < 20 03 00 81 00
  closed

Topic Alias, which is of another packet: section 2.2.2.2 says malformed
  > 10 11 0004 'MQTT' 05 02 003c 03 23 0001 0001 'x'
  < 20 03 00 81 00
  closed

Maximum QoS, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 24 01 0001 'x'
  < 20 03 00 81 00
  closed

Retain Available, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 25 01 0001 'x'
  < 20 03 00 81 00
  closed

Wildcard Subscription Available, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 28 01 0001 'x'
  < 20 03 00 81 00
  closed

Subscription Identifier Available, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 29 01 0001 'x'
  < 20 03 00 81 00
  closed

Shared Subscription Available, which is of another packet: section 2.2.2.2 says malformed
  > 10 10 0004 'MQTT' 05 02 003c 02 2a 01 0001 'x'
  < 20 03 00 81 00
  closed

Session Expiry Interval twice, section 3.1.2.11
  > 10 18 0004 'MQTT' 05 02 003c 0a 11 0000003c 11 0000003c 0001 'x'
  < 20 03 00 82 00
  closed

Receive Maximum twice, section 3.1.2.11
  > 10 14 0004 'MQTT' 05 02 003c 06 21 000a 21 000a 0001 'x'
  < 20 03 00 82 00
  closed

Maximum Packet Size twice, section 3.1.2.11
  > 10 18 0004 'MQTT' 05 02 003c 0a 27 00001000 27 00001000 0001 'x'
  < 20 03 00 82 00
  closed

Topic Alias Maximum twice, section 3.1.2.11
  > 10 14 0004 'MQTT' 05 02 003c 06 22 000a 22 000a 0001 'x'
  < 20 03 00 82 00
  closed

Request Response Information twice, section 3.1.2.11
  > 10 12 0004 'MQTT' 05 02 003c 04 19 00 19 00 0001 'x'
  < 20 03 00 82 00
  closed

Request Problem Information twice, section 3.1.2.11
  > 10 12 0004 'MQTT' 05 02 003c 04 17 01 17 01 0001 'x'
  < 20 03 00 82 00
  closed

Authentication Method twice, section 3.1.2.11
  > 10 16 0004 'MQTT' 05 02 003c 08 15 0001 'm' 15 0001 'm' 0001 'x'
  < 20 03 00 82 00
  closed

Authentication Data twice, section 3.1.2.11
  > 10 16 0004 'MQTT' 05 02 003c 08 16 0001 'd' 16 0001 'd' 0001 'x'
  < 20 03 00 82 00
  closed

Receive Maximum 0, section 3.1.2.11.3
  > 10 11 0004 'MQTT' 05 02 003c 03 21 0000 0001 'x'
  < 20 03 00 82 00
  closed

Maximum Packet Size 0, section 3.1.2.11.4
  > 10 13 0004 'MQTT' 05 02 003c 05 27 00000000 0001 'x'
  < 20 03 00 82 00
  closed

Request Problem Information 2, section 3.1.2.11.7
  > 10 10 0004 'MQTT' 05 02 003c 02 17 02 0001 'x'
  < 20 03 00 82 00
  closed

Request Response Information 2, section 3.1.2.11.6
  > 10 10 0004 'MQTT' 05 02 003c 02 19 02 0001 'x'
  < 20 03 00 82 00
  closed

Property Length in more bytes than it needs [MQTT-1.5.5-1]
  > 10 0f 0004 'MQTT' 05 02 003c 8000 0001 'x'
  < 20 03 00 81 00
  closed

Property Length of five bytes
  > 10 12 0004 'MQTT' 05 02 003c 8080808001 0001 'x'
  < 20 03 00 81 00
  closed

Property Length beyond the end of the packet
  > 10 0e 0004 'MQTT' 05 02 003c 7f 0001 'x'
  < 20 03 00 81 00
  closed

a property that ends inside its value
  > 10 11 0004 'MQTT' 05 02 003c 03 11 0000 0001 'x'
  < 20 03 00 81 00
  closed

a text that is longer than the properties
  > 10 15 0004 'MQTT' 05 02 003c 07 26 0001 'n' 0009 'v' 0001 'x'
  < 20 03 00 81 00
  closed

a User Property without a value
  > 10 12 0004 'MQTT' 05 02 003c 04 26 0001 'n' 0001 'x'
  < 20 03 00 81 00
  closed

a User Property whose name is no UTF-8 [MQTT-1.5.4-1]
  > 10 15 0004 'MQTT' 05 02 003c 07 26 0001 ff 0001 'v' 0001 'x'
  < 20 03 00 81 00
  closed

a surrogate in the value of a User Property [MQTT-1.5.4-1]
  > 10 17 0004 'MQTT' 05 02 003c 09 26 0001 'n' 0003 eda080 0001 'x'
  < 20 03 00 81 00
  closed

U+0000 in the value of a User Property [MQTT-1.5.4-2]
  > 10 15 0004 'MQTT' 05 02 003c 07 26 0001 'n' 0001 00 0001 'x'
  < 20 03 00 81 00
  closed

an Authentication Method that is not known here [MQTT-4.12.0-1]
  > 10 16 0004 'MQTT' 05 02 003c 08 15 0005 'PLAIN' 0001 'x'
  < 20 03 00 8c 00
  closed

an Authentication Method with data that is not known here [MQTT-4.12.0-1]
  > 10 22 0004 'MQTT' 05 02 003c 14 15 000b 'SCRAM-SHA-1' 16 0003 'abc' 0001 'x'
  < 20 03 00 8c 00
  closed

an empty Authentication Method
  > 10 11 0004 'MQTT' 05 02 003c 03 15 0000 0001 'x'
  < 20 03 00 8c 00
  closed

Authentication Data without a Method, section 3.1.2.11.10
  > 10 12 0004 'MQTT' 05 02 003c 04 16 0001 'd' 0001 'x'
  < 20 03 00 82 00
  closed

an Authentication Method that is no UTF-8
  > 10 12 0004 'MQTT' 05 02 003c 04 15 0001 ff 0001 'x'
  < 20 03 00 81 00
  closed

Session Expiry Interval in the Will Properties
  > 10 1a 0004 'MQTT' 05 06 003c 00 0001 'x' 05 11 0000003c 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Receive Maximum in the Will Properties
  > 10 18 0004 'MQTT' 05 06 003c 00 0001 'x' 03 21 000a 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Subscription Identifier in the Will Properties
  > 10 17 0004 'MQTT' 05 06 003c 00 0001 'x' 02 0b 01 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Topic Alias in the Will Properties
  > 10 18 0004 'MQTT' 05 06 003c 00 0001 'x' 03 23 0001 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Reason String in the Will Properties
  > 10 19 0004 'MQTT' 05 06 003c 00 0001 'x' 04 1f 0001 's' 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Authentication Method in the Will Properties
  > 10 19 0004 'MQTT' 05 06 003c 00 0001 'x' 04 15 0001 'm' 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Maximum Packet Size in the Will Properties
  > 10 1a 0004 'MQTT' 05 06 003c 00 0001 'x' 05 27 00001000 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

Will Delay Interval twice in the Will Properties, section 3.1.3.2
  > 10 1f 0004 'MQTT' 05 06 003c 00 0001 'x' 0a 18 0000003c 18 0000003c 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

Payload Format Indicator twice in the Will Properties, section 3.1.3.2
  > 10 19 0004 'MQTT' 05 06 003c 00 0001 'x' 04 01 01 01 01 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

Message Expiry Interval twice in the Will Properties, section 3.1.3.2
  > 10 1f 0004 'MQTT' 05 06 003c 00 0001 'x' 0a 02 0000003c 02 0000003c 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

Content Type twice in the Will Properties, section 3.1.3.2
  > 10 1d 0004 'MQTT' 05 06 003c 00 0001 'x' 08 03 0001 'c' 03 0001 'c' 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

Response Topic twice in the Will Properties, section 3.1.3.2
  > 10 1d 0004 'MQTT' 05 06 003c 00 0001 'x' 08 08 0001 'r' 08 0001 'r' 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

Correlation Data twice in the Will Properties, section 3.1.3.2
  > 10 1d 0004 'MQTT' 05 06 003c 00 0001 'x' 08 09 0001 'd' 09 0001 'd' 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

Payload Format Indicator 2 in the Will Properties
  > 10 17 0004 'MQTT' 05 06 003c 00 0001 'x' 02 01 02 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

a Response Topic with a wildcard in the Will Properties [MQTT-3.3.2-14]
  > 10 19 0004 'MQTT' 05 06 003c 00 0001 'x' 04 08 0001 '#' 0001 'w' 0001 'p'
  < 20 03 00 82 00
  closed

a Will that is said to be UTF-8 and is not, section 3.1.3.2.3
  > 10 17 0004 'MQTT' 05 06 003c 00 0001 'x' 02 01 01 0001 'w' 0001 ff
  < 20 03 00 99 00
  closed

Will Properties longer than the packet
  > 10 15 0004 'MQTT' 05 06 003c 00 0001 'x' 7f 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

a property that is none in the Will Properties
  > 10 17 0004 'MQTT' 05 06 003c 00 0001 'x' 02 7e 00 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

a Content Type that is no UTF-8 in the Will Properties [MQTT-1.5.4-1]
  > 10 19 0004 'MQTT' 05 06 003c 00 0001 'x' 04 03 0001 ff 0001 'w' 0001 'p'
  < 20 03 00 81 00
  closed

a Will whose property `mote` is no intent
  > 10 27 0004 'MQTT' 05 06 003c 00 0001 'x' 12 26 0004 'mote' 0009 'tree;what' 0001 'w' 0001 'p'
  < 20 03 00 90 00
  closed

a Will with two properties `mote` that differ
  > 10 2e 0004 'MQTT' 05 06 003c 00 0001 'x' 19 26 0004 'mote' 0004 'tree' 26 0004 'mote' 0003 'put' 0001 'w' 0001 'p'
  < 20 03 00 90 00
  closed
"#;

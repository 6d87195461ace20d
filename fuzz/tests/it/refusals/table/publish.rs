//! PUBLISH.

pub const TEXT: &str = r#"
@ MQTT 5

QoS 3 in 0x36 [MQTT-3.3.1-4]
  > 36 07 0001 't' 0001 00 'a'
  < e0 01 81
  closed

QoS 3 in 0x37 [MQTT-3.3.1-4]
  > 37 07 0001 't' 0001 00 'a'
  < e0 01 81
  closed

QoS 3 in 0x3e [MQTT-3.3.1-4]
  > 3e 07 0001 't' 0001 00 'a'
  < e0 01 81
  closed

QoS 3 in 0x3f [MQTT-3.3.1-4]
  > 3f 07 0001 't' 0001 00 'a'
  < e0 01 81
  closed

DUP with QoS 0 [MQTT-3.3.1-2]
  > 38 05 0001 't'  00 'a'
  < e0 01 81
  closed

DUP and RETAIN with QoS 0 [MQTT-3.3.1-2]
  > 39 05 0001 't'  00 'a'
  < e0 01 81
  closed

Packet Identifier 0 with QoS 1 [MQTT-2.2.1-3]
  > 32 07 0001 't' 0000 00 'a'
  < e0 01 82
  closed

Packet Identifier 0 with QoS 2 [MQTT-2.2.1-3]
  > 34 07 0001 't' 0000 00 'a'
  < e0 01 82
  closed

an empty packet
  > 30 00
  < e0 01 81
  closed

half a topic length
  > 30 01 00
  < e0 01 81
  closed

a topic longer than the packet
  > 30 03 0005 't'
  < e0 01 81
  closed

no Packet Identifier [MQTT-2.2.1-2]
  > 32 03 0001 't'
  < e0 01 81
  closed

half a Packet Identifier
  > 32 04 0001 't' 00
  < e0 01 81
  closed

no Property Length
  > 30 03 0001 't'
  < e0 01 81
  closed

no Property Length with QoS 1
  > 32 05 0001 't' 0001
  < e0 01 81
  closed

properties longer than the packet
  > 30 05 0001 't' 05 01
  < e0 01 81
  closed

Property Length in more bytes than it needs [MQTT-1.5.5-1]
  > 30 06 0001 't' 8000 'a'
  < e0 01 81
  closed

Property Length of five bytes
  > 30 09 0001 't' 8080808001 'a'
  < e0 01 81
  closed

an empty topic without alias, section 3.3.2.1
  > 30 04 0000  00 'a'
  < e0 01 82
  closed

an empty topic without alias at QoS 1, section 3.3.2.1
  > 32 06 0000 0001 00 'a'
  < e0 01 82
  closed

+ in the topic: not malformed, but no topic that may be published to [MQTT-3.3.2-2]
  > 30 07 0003 'a/+'  00 'a'
  < e0 01 90
  closed

# in the topic [MQTT-3.3.2-2]
  > 32 07 0001 '#' 0001 00 'a'
  < e0 01 90
  closed

a wildcard inside a level [MQTT-3.3.2-2]
  > 34 0b 0005 'a+b/c' 0001 00 'a'
  < e0 01 90
  closed

U+0000 in the topic [MQTT-4.7.3-2]
  > 30 07 0003 't' 00 'x'  00 'a'
  < e0 01 81
  closed

a topic that is no UTF-8 [MQTT-3.3.2-1]
  > 30 06 0002 't' ff  00 'a'
  < e0 01 81
  closed

a high surrogate in the topic [MQTT-1.5.4-1]
  > 30 07 0003 eda080  00 'a'
  < e0 01 81
  closed

a low surrogate in the topic [MQTT-1.5.4-1]
  > 30 07 0003 edbfbf  00 'a'
  < e0 01 81
  closed

a pair of surrogates in the topic [MQTT-1.5.4-1]
  > 30 0a 0006 eda081 edb080  00 'a'
  < e0 01 81
  closed

an overlong slash in the topic [MQTT-1.5.4-1]
  > 30 06 0002 c0af  00 'a'
  < e0 01 81
  closed

a lone continuation byte in the topic [MQTT-1.5.4-1]
  > 30 05 0001 80  00 'a'
  < e0 01 81
  closed

Topic Alias 0 [MQTT-3.3.2-8]
  > 30 08 0001 't'  03 23 0000 'a'
  < e0 01 94
  closed

Topic Alias above what the broker takes [MQTT-3.3.2-9]
  > 30 08 0001 't'  03 23 ffff 'a'
  < e0 01 94
  closed

Topic Alias above what the broker takes, without topic [MQTT-3.3.2-9]
  > 32 09 0000 0001 03 23 ffff 'a'
  < e0 01 94
  closed

Topic Alias that was never given a topic, section 3.3.2.1: a topic is missing
  > 30 07 0000  03 23 0001 'a'
  < e0 01 82
  closed

Topic Alias of another connection: it stands for nothing here [MQTT-3.3.2-7]
  > 32 09 0000 0001 03 23 0002 'a'
  < e0 01 82
  closed

Payload Format Indicator twice, section 3.3.2.3
  > 30 09 0001 't'  04 01 01 01 01 'a'
  < e0 01 82
  closed

Message Expiry Interval twice, section 3.3.2.3
  > 30 0f 0001 't'  0a 02 0000003c 02 0000003c 'a'
  < e0 01 82
  closed

Content Type twice, section 3.3.2.3
  > 30 0d 0001 't'  08 03 0001 'c' 03 0001 'c' 'a'
  < e0 01 82
  closed

Response Topic twice, section 3.3.2.3
  > 30 0d 0001 't'  08 08 0001 'r' 08 0001 'r' 'a'
  < e0 01 82
  closed

Correlation Data twice, section 3.3.2.3
  > 30 0d 0001 't'  08 09 0001 'd' 09 0001 'd' 'a'
  < e0 01 82
  closed

Topic Alias twice, section 3.3.2.3
  > 30 0b 0001 't'  06 23 0001 23 0001 'a'
  < e0 01 82
  closed

Session Expiry Interval, which is of another packet: section 2.2.2.2 says malformed
  > 30 0a 0001 't'  05 11 0000003c 'a'
  < e0 01 81
  closed

Assigned Client Identifier, which is of another packet: section 2.2.2.2 says malformed
  > 30 09 0001 't'  04 12 0001 'i' 'a'
  < e0 01 81
  closed

Server Keep Alive, which is of another packet: section 2.2.2.2 says malformed
  > 30 08 0001 't'  03 13 003c 'a'
  < e0 01 81
  closed

Authentication Method, which is of another packet: section 2.2.2.2 says malformed
  > 30 09 0001 't'  04 15 0001 'm' 'a'
  < e0 01 81
  closed

Authentication Data, which is of another packet: section 2.2.2.2 says malformed
  > 30 09 0001 't'  04 16 0001 'd' 'a'
  < e0 01 81
  closed

Request Problem Information, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 17 01 'a'
  < e0 01 81
  closed

Will Delay Interval, which is of another packet: section 2.2.2.2 says malformed
  > 30 0a 0001 't'  05 18 0000003c 'a'
  < e0 01 81
  closed

Request Response Information, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 19 00 'a'
  < e0 01 81
  closed

Response Information, which is of another packet: section 2.2.2.2 says malformed
  > 30 09 0001 't'  04 1a 0001 'i' 'a'
  < e0 01 81
  closed

Server Reference, which is of another packet: section 2.2.2.2 says malformed
  > 30 09 0001 't'  04 1c 0001 's' 'a'
  < e0 01 81
  closed

Reason String, which is of another packet: section 2.2.2.2 says malformed
  > 30 09 0001 't'  04 1f 0001 's' 'a'
  < e0 01 81
  closed

Receive Maximum, which is of another packet: section 2.2.2.2 says malformed
  > 30 08 0001 't'  03 21 000a 'a'
  < e0 01 81
  closed

Topic Alias Maximum, which is of another packet: section 2.2.2.2 says malformed
  > 30 08 0001 't'  03 22 000a 'a'
  < e0 01 81
  closed

Maximum QoS, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 24 01 'a'
  < e0 01 81
  closed

Retain Available, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 25 01 'a'
  < e0 01 81
  closed

Maximum Packet Size, which is of another packet: section 2.2.2.2 says malformed
  > 30 0a 0001 't'  05 27 00001000 'a'
  < e0 01 81
  closed

Wildcard Subscription Available, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 28 01 'a'
  < e0 01 81
  closed

Subscription Identifier Available, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 29 01 'a'
  < e0 01 81
  closed

Shared Subscription Available, which is of another packet: section 2.2.2.2 says malformed
  > 30 07 0001 't'  02 2a 01 'a'
  < e0 01 81
  closed

Property Identifier 0x7f, which is none
  > 30 07 0001 't'  02 7f 01 'a'
  < e0 01 81
  closed

Property Identifier 0, which is none
  > 32 08 0001 't' 0001 01 00 'a'
  < e0 01 81
  closed

Payload Format Indicator 2
  > 30 07 0001 't'  02 01 02 'a'
  < e0 01 82
  closed

a Subscription Identifier from a client [MQTT-3.3.4-6]
  > 30 07 0001 't'  02 0b 01 'a'
  < e0 01 82
  closed

Subscription Identifier 0
  > 30 07 0001 't'  02 0b 00 'a'
  < e0 01 82
  closed

a Response Topic with + [MQTT-3.3.2-14]
  > 30 09 0001 't'  04 08 0001 '+' 'a'
  < e0 01 82
  closed

a Response Topic with # [MQTT-3.3.2-14]
  > 30 0b 0001 't'  06 08 0003 'a/#' 'a'
  < e0 01 82
  closed

an empty Response Topic [MQTT-4.7.3-1]
  > 30 08 0001 't'  03 08 0000 'a'
  < e0 01 82
  closed

U+0000 in the Response Topic [MQTT-4.7.3-2]
  > 30 09 0001 't'  04 08 0001 00 'a'
  < e0 01 81
  closed

a Response Topic that is no UTF-8 [MQTT-3.3.2-13]
  > 30 09 0001 't'  04 08 0001 ff 'a'
  < e0 01 81
  closed

a Content Type that is no UTF-8 [MQTT-3.3.2-19]
  > 30 0a 0001 't'  05 03 0002 c328 'a'
  < e0 01 81
  closed

a surrogate in the name of a User Property [MQTT-1.5.4-1]
  > 30 0d 0001 't'  08 26 0003 eda080 0000 'a'
  < e0 01 81
  closed

U+0000 in the name of a User Property [MQTT-1.5.4-2]
  > 30 0b 0001 't'  06 26 0001 00 0000 'a'
  < e0 01 81
  closed

a User Property without a value
  > 30 09 0001 't'  04 26 0001 'n' 'a'
  < e0 01 81
  closed

Message Expiry Interval that ends early
  > 30 08 0001 't'  03 02 0000 'a'
  < e0 01 81
  closed

a packet larger than Maximum Packet Size: refused by its length alone [MQTT-3.2.2-15]
  > 30 81808001 0001 't'
  < e0 01 95
  closed

the largest packet that a header can announce
  > 30 ffffff7f 0001 't'
  < e0 01 95
  closed

@ MQTT 5, and what it publishes is refused

QoS 0 to $SYS/broker/uptime, where only the broker publishes
  > 30 16 0012 '$SYS/broker/uptime'  00 'a'
  < 30 6e 0019 '$error/$SYS/broker/uptime' 00 '{"error":"only the broker publishes there","topic":"$SYS/broker/uptime","at":null}'
  open

QoS 1 to $SYS/broker/uptime
  > 32 18 0012 '$SYS/broker/uptime' 0007 00 'a'
  < 40 03 0007 87
  open

QoS 2 to $SYS/broker/uptime: the identifier is free again [MQTT-4.3.3-9]
  > 34 18 0012 '$SYS/broker/uptime' 0007 00 'a'
  < 50 03 0007 87
  > 62 02 0007
  < 70 03 0007 92
  open

QoS 0 to $SYS, where only the broker publishes
  > 30 08 0004 '$SYS'  00 'a'
  < 30 52 000b '$error/$SYS' 00 '{"error":"only the broker publishes there","topic":"$SYS","at":null}'
  open

QoS 1 to $SYS
  > 32 0a 0004 '$SYS' 0007 00 'a'
  < 40 03 0007 87
  open

QoS 2 to $SYS: the identifier is free again [MQTT-4.3.3-9]
  > 34 0a 0004 '$SYS' 0007 00 'a'
  < 50 03 0007 87
  > 62 02 0007
  < 70 03 0007 92
  open

QoS 0 to $error/x, where only the broker publishes
  > 30 0c 0008 '$error/x'  00 'a'
  < 30 5a 000f '$error/$error/x' 00 '{"error":"only the broker publishes there","topic":"$error/x","at":null}'
  open

QoS 1 to $error/x
  > 32 0e 0008 '$error/x' 0007 00 'a'
  < 40 03 0007 87
  open

QoS 2 to $error/x: the identifier is free again [MQTT-4.3.3-9]
  > 34 0e 0008 '$error/x' 0007 00 'a'
  < 50 03 0007 87
  > 62 02 0007
  < 70 03 0007 92
  open

QoS 0 to $conflict/x, where only the broker publishes
  > 30 0f 000b '$conflict/x'  00 'a'
  < 30 60 0012 '$error/$conflict/x' 00 '{"error":"only the broker publishes there","topic":"$conflict/x","at":null}'
  open

QoS 1 to $conflict/x
  > 32 11 000b '$conflict/x' 0007 00 'a'
  < 40 03 0007 87
  open

QoS 2 to $conflict/x: the identifier is free again [MQTT-4.3.3-9]
  > 34 11 000b '$conflict/x' 0007 00 'a'
  < 50 03 0007 87
  > 62 02 0007
  < 70 03 0007 92
  open

@ MQTT 3.1.1, and what it publishes is refused

QoS 0 to $SYS/broker/uptime
  > 30 15 0012 '$SYS/broker/uptime' 'a'
  < 30 6d 0019 '$error/$SYS/broker/uptime' '{"error":"only the broker publishes there","topic":"$SYS/broker/uptime","at":null}'
  open

QoS 1 to $SYS/broker/uptime: acknowledged, since there is no other answer
  > 32 17 0012 '$SYS/broker/uptime' 0007 'a'
  < 30 6d 0019 '$error/$SYS/broker/uptime' '{"error":"only the broker publishes there","topic":"$SYS/broker/uptime","at":null}' 40 02 0007
  open

QoS 2 to $SYS/broker/uptime
  > 34 17 0012 '$SYS/broker/uptime' 0007 'a'
  < 30 6d 0019 '$error/$SYS/broker/uptime' '{"error":"only the broker publishes there","topic":"$SYS/broker/uptime","at":null}' 50 02 0007
  > 62 02 0007
  < 70 02 0007
  open

QoS 0 to $SYS
  > 30 07 0004 '$SYS' 'a'
  < 30 51 000b '$error/$SYS' '{"error":"only the broker publishes there","topic":"$SYS","at":null}'
  open

QoS 1 to $SYS: acknowledged, since there is no other answer
  > 32 09 0004 '$SYS' 0007 'a'
  < 30 51 000b '$error/$SYS' '{"error":"only the broker publishes there","topic":"$SYS","at":null}' 40 02 0007
  open

QoS 2 to $SYS
  > 34 09 0004 '$SYS' 0007 'a'
  < 30 51 000b '$error/$SYS' '{"error":"only the broker publishes there","topic":"$SYS","at":null}' 50 02 0007
  > 62 02 0007
  < 70 02 0007
  open

QoS 0 to $error/x
  > 30 0b 0008 '$error/x' 'a'
  < 30 59 000f '$error/$error/x' '{"error":"only the broker publishes there","topic":"$error/x","at":null}'
  open

QoS 1 to $error/x: acknowledged, since there is no other answer
  > 32 0d 0008 '$error/x' 0007 'a'
  < 30 59 000f '$error/$error/x' '{"error":"only the broker publishes there","topic":"$error/x","at":null}' 40 02 0007
  open

QoS 2 to $error/x
  > 34 0d 0008 '$error/x' 0007 'a'
  < 30 59 000f '$error/$error/x' '{"error":"only the broker publishes there","topic":"$error/x","at":null}' 50 02 0007
  > 62 02 0007
  < 70 02 0007
  open

QoS 0 to $conflict/x
  > 30 0e 000b '$conflict/x' 'a'
  < 30 5f 0012 '$error/$conflict/x' '{"error":"only the broker publishes there","topic":"$conflict/x","at":null}'
  open

QoS 1 to $conflict/x: acknowledged, since there is no other answer
  > 32 10 000b '$conflict/x' 0007 'a'
  < 30 5f 0012 '$error/$conflict/x' '{"error":"only the broker publishes there","topic":"$conflict/x","at":null}' 40 02 0007
  open

QoS 2 to $conflict/x
  > 34 10 000b '$conflict/x' 0007 'a'
  < 30 5f 0012 '$error/$conflict/x' '{"error":"only the broker publishes there","topic":"$conflict/x","at":null}' 50 02 0007
  > 62 02 0007
  < 70 02 0007
  open

@ MQTT 5, and what it publishes is refused

more levels than limits.topic_levels
  > 32 ce01 00c8 '/'*200 0007 00 'a'
  < 40 03 0007 90
  open

an intent without a topic
  > 32 0b 0005 '$tree' 0007 00 'a'
  < 40 03 0007 90
  open

an intent that only SUBSCRIBE takes
  > 32 0d 0007 '$sync/x' 0007 00 'a'
  < 40 03 0007 90
  open

an option that is none
  > 34 12 000c '$tree;what/x' 0007 00 'a'
  < 50 03 0007 90
  open

a tree that is no JSON
  > 32 0d 0007 '$tree/x' 0007 00 '{'
  < 40 03 0007 99
  open

a payload that is said to be UTF-8 and is not, section 3.3.2.3.2
  > 32 09 0001 't' 0007 02 01 01 ff
  < 40 03 0007 99
  open

a payload with a surrogate that is said to be UTF-8, at QoS 2
  > 34 0b 0001 't' 0007 02 01 01 eda080
  < 50 03 0007 99
  open

a property `mote` that is no intent
  > 32 19 0001 't' 0007 12 26 0004 'mote' 0009 'tree;what' 'a'
  < 40 03 0007 90
  open

prefix and property `mote` differ
  > 32 23 0007 '$tree/x' 0007 15 26 0004 'mote' 000c 'tree;replace' '{}'
  < 40 03 0007 90
  open

two properties `mote` that differ
  > 32 2a 0001 't' 0007 22 26 0004 'mote' 0004 'tree' 26 0004 'mote' 000c 'tree;replace' '{}'
  < 40 03 0007 90
  open

a bad intent in the second property `mote`, behind one that is none of ours
  > 32 27 0001 't' 0007 1f 26 0004 'mote' 0004 'blue' 26 0004 'mote' 0009 'tree;what' '{}'
  < 40 03 0007 90
  open

@ MQTT 5, and a Packet Identifier is in use

QoS 2 again without DUP: any PUBLISH with it is acknowledged until PUBREL [MQTT-4.3.3-10]
  > 34 07 0001 't' 0005 00 'a'
  < 50 03 0005 10
  > 34 07 0001 't' 0005 00 'a'
  < 50 02 0005
  > 62 02 0005
  < 70 02 0005
  > 62 02 0005
  < 70 03 0005 92
  open

QoS 2 again with DUP [MQTT-4.3.3-10]
  > 34 07 0001 't' 0005 00 'a'
  < 50 03 0005 10
  > 3c 07 0001 't' 0005 00 'a'
  < 50 02 0005
  open

QoS 1 with the identifier of a QoS 2 publish [MQTT-2.2.1-3]
  > 34 07 0001 't' 0005 00 'a'
  < 50 03 0005 10
  > 32 07 0001 't' 0005 00 'a'
  < 40 03 0005 91
  > 62 02 0005
  < 70 02 0005
  > 32 07 0001 't' 0005 00 'a'
  < 40 03 0005 10
  open

SUBSCRIBE with the identifier of a QoS 2 publish [MQTT-2.2.1-3]
  > 34 07 0001 't' 0005 00 'a'
  < 50 03 0005 10
  > 82 0b 0005 00 0001 'r' 01 0001 's' 00
  < 90 05 0005 00 9191
  > 62 02 0005
  < 70 02 0005
  open

UNSUBSCRIBE with the identifier of a QoS 2 publish [MQTT-2.2.1-3]
  > 34 07 0001 't' 0005 00 'a'
  < 50 03 0005 10
  > a2 06 0005 00 0001 'r'
  < b0 04 0005 00 91
  open

@ MQTT 3.1.1

QoS 3 in 0x36 [3.1.1: MQTT-3.3.1-4]
  > 36 06 0001 't' 0001 'a'
  closed

QoS 3 in 0x3f [3.1.1: MQTT-3.3.1-4]
  > 3f 06 0001 't' 0001 'a'
  closed

DUP with QoS 0 [3.1.1: MQTT-3.3.1-2]
  > 38 04 0001 't'  'a'
  closed

Packet Identifier 0 with QoS 1 [3.1.1: MQTT-2.3.1-1]
  > 32 06 0001 't' 0000 'a'
  closed

Packet Identifier 0 with QoS 2 [3.1.1: MQTT-2.3.1-1]
  > 34 06 0001 't' 0000 'a'
  closed

an empty topic [3.1.1: MQTT-4.7.3-1]
  > 30 03 0000  'a'
  closed

+ in the topic [3.1.1: MQTT-3.3.2-2]
  > 30 06 0003 'a/+'  'a'
  closed

# in the topic [3.1.1: MQTT-3.3.2-2]
  > 32 08 0003 'a/#' 0001 'a'
  closed

U+0000 in the topic [3.1.1: MQTT-4.7.3-2]
  > 30 04 0001 00  'a'
  closed

a topic that is no UTF-8 [3.1.1: MQTT-3.3.2-1]
  > 30 04 0001 ff  'a'
  closed

a surrogate in the topic [3.1.1: MQTT-1.5.3-1]
  > 30 06 0003 eda080  'a'
  closed

a topic longer than the packet
  > 30 03 0005 't'
  closed

no Packet Identifier
  > 32 03 0001 't'
  closed

an empty packet
  > 30 00
  closed

a packet larger than limits.packet_bytes
  > 30 81808001 0001 't'
  closed

QoS 2 again without DUP: acknowledged, not delivered [3.1.1: MQTT-4.3.3-2]
  > 34 06 0001 't' 0005 'a'
  < 50 02 0005
  > 34 06 0001 't' 0005 'a'
  < 50 02 0005
  > 62 02 0005
  < 70 02 0005
  open

@ MQTT 3.1

QoS 3
  > 36 06 0001 't' 0001 'a'
  closed

Packet Identifier 0 with QoS 1
  > 32 06 0001 't' 0000 'a'
  closed

an empty topic
  > 30 03 0000  'a'
  closed

# in the topic
  > 30 04 0001 '#'  'a'
  closed

a topic that is no UTF-8
  > 30 04 0001 ff  'a'
  closed
"#;

//! CONNECT, and whatever else may come first.

pub const TEXT: &str = r#"
@ nothing, and it speaks MQTT 5

the reserved Connect Flag [MQTT-3.1.2-3]
  > 10 0e 0004 'MQTT' 05 03 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

Will QoS 3 [MQTT-3.1.2-12]
  > 10 14 0004 'MQTT' 05 1e 003c 00 0001 'x' 00 0001 'w' 0000
  < 20 03 00 81 00
  closed

Will QoS 1 without a Will: data that is not allowed [MQTT-3.1.2-11]
  > 10 0e 0004 'MQTT' 05 0a 003c 00 0001 'x'
  < 20 03 00 82 00
  closed

Will QoS 2 without a Will [MQTT-3.1.2-11]
  > 10 0e 0004 'MQTT' 05 12 003c 00 0001 'x'
  < 20 03 00 82 00
  closed

Will QoS 3 without a Will [MQTT-3.1.2-12]
  > 10 0e 0004 'MQTT' 05 1a 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

Will Retain without a Will [MQTT-3.1.2-13]
  > 10 0e 0004 'MQTT' 05 22 003c 00 0001 'x'
  < 20 03 00 82 00
  closed

flags 1 of the fixed header [MQTT-2.1.3-1]
  > 11 0e 0004 'MQTT' 05 02 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

flags 2 of the fixed header [MQTT-2.1.3-1]
  > 12 0e 0004 'MQTT' 05 02 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

flags 8 of the fixed header [MQTT-2.1.3-1]
  > 18 0e 0004 'MQTT' 05 02 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

flags f of the fixed header [MQTT-2.1.3-1]
  > 1f 0e 0004 'MQTT' 05 02 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

a level and nothing behind it
  > 10 07 0004 'MQTT' 05
  < 20 03 00 81 00
  closed

it ends before Keep Alive
  > 10 08 0004 'MQTT' 05 02
  < 20 03 00 81 00
  closed

it ends inside Keep Alive
  > 10 09 0004 'MQTT' 05 02 00
  < 20 03 00 81 00
  closed

it ends before the Property Length
  > 10 0a 0004 'MQTT' 05 02 003c
  < 20 03 00 81 00
  closed

it ends before the Client Identifier [MQTT-3.1.3-3]
  > 10 0b 0004 'MQTT' 05 02 003c 00
  < 20 03 00 81 00
  closed

it ends inside the length of the Client Identifier
  > 10 0c 0004 'MQTT' 05 02 003c 00 00
  < 20 03 00 81 00
  closed

it ends inside the Client Identifier
  > 10 0e 0004 'MQTT' 05 02 003c 00 0002 'x'
  < 20 03 00 81 00
  closed

a byte behind the last field
  > 10 0f 0004 'MQTT' 05 02 003c 00 0001 'x' 00
  < 20 03 00 81 00
  closed

a User Name that the flags do not announce [MQTT-3.1.2-16]
  > 10 11 0004 'MQTT' 05 02 003c 00 0001 'x' 0001 'u'
  < 20 03 00 81 00
  closed

no User Name though the flags announce one [MQTT-3.1.2-17]
  > 10 0e 0004 'MQTT' 05 82 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

no Password though the flags announce one [MQTT-3.1.2-19]
  > 10 0e 0004 'MQTT' 05 42 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

a Password that the flags do not announce [MQTT-3.1.2-18]
  > 10 14 0004 'MQTT' 05 82 003c 00 0001 'x' 0001 'u' 0001 'p'
  < 20 03 00 81 00
  closed

the Password ends early
  > 10 14 0004 'MQTT' 05 c2 003c 00 0001 'x' 0001 'u' 0002 'p'
  < 20 03 00 81 00
  closed

no Will though the flags announce one [MQTT-3.1.2-9]
  > 10 0e 0004 'MQTT' 05 06 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

the Will ends before its payload [MQTT-3.1.2-9]
  > 10 12 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0001 'w'
  < 20 03 00 81 00
  closed

the Will Payload ends early
  > 10 15 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0001 'w' 0002 'p'
  < 20 03 00 81 00
  closed

the Client Identifier is no UTF-8 [MQTT-3.1.3-4]
  > 10 0e 0004 'MQTT' 05 02 003c 00 0001 ff
  < 20 03 00 81 00
  closed

a surrogate in the Client Identifier [MQTT-1.5.4-1]
  > 10 10 0004 'MQTT' 05 02 003c 00 0003 eda080
  < 20 03 00 81 00
  closed

an overlong form in the Client Identifier [MQTT-1.5.4-1]
  > 10 0f 0004 'MQTT' 05 02 003c 00 0002 c0af
  < 20 03 00 81 00
  closed

a code point beyond U+10FFFF in the Client Identifier [MQTT-1.5.4-1]
  > 10 11 0004 'MQTT' 05 02 003c 00 0004 f4908080
  < 20 03 00 81 00
  closed

a character of which the last byte is missing [MQTT-1.5.4-1]
  > 10 0f 0004 'MQTT' 05 02 003c 00 0002 e282
  < 20 03 00 81 00
  closed

U+0000 in the Client Identifier [MQTT-1.5.4-2]
  > 10 10 0004 'MQTT' 05 02 003c 00 0003 'a' 00 'b'
  < 20 03 00 81 00
  closed

the User Name is no UTF-8 [MQTT-3.1.3-12]
  > 10 11 0004 'MQTT' 05 82 003c 00 0001 'x' 0001 80
  < 20 03 00 81 00
  closed

U+0000 in the User Name [MQTT-1.5.4-2]
  > 10 11 0004 'MQTT' 05 82 003c 00 0001 'x' 0001 00
  < 20 03 00 81 00
  closed

the Will Topic is no UTF-8 [MQTT-3.1.3-11]
  > 10 14 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0001 fe 0000
  < 20 03 00 81 00
  closed

U+0000 in the Will Topic [MQTT-4.7.3-2]
  > 10 14 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0001 00 0000
  < 20 03 00 81 00
  closed

an empty Will Topic [MQTT-4.7.3-1]
  > 10 13 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0000 0000
  < 20 03 00 81 00
  closed

# in the Will Topic: table 3-1 names 0x90 for a Will Topic that is not taken [MQTT-4.7.0-1]
  > 10 16 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0003 'a/#' 0000
  < 20 03 00 90 00
  closed

+ in the Will Topic [MQTT-4.7.0-1]
  > 10 14 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0001 '+' 0000
  < 20 03 00 90 00
  closed

a Will to $SYS, where only the broker publishes
  > 10 19 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0006 '$SYS/x' 0000
  < 20 03 00 90 00
  closed

a Will to $error, where only the broker publishes
  > 10 1b 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0008 '$error/x' 0000
  < 20 03 00 90 00
  closed

a Will of more levels than limits.topic_levels
  > 10 db01 0004 'MQTT' 05 06 003c 00 0001 'x' 00 00c8 '/'*200 0000
  < 20 03 00 90 00
  closed

a Will with an intent that only SUBSCRIBE takes
  > 10 1a 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0007 '$sync/x' 0000
  < 20 03 00 90 00
  closed

a Will with an option that is none
  > 10 1f 0004 'MQTT' 05 06 003c 00 0001 'x' 00 000c '$tree;what/x' 0000
  < 20 03 00 90 00
  closed

a Will with an intent and no topic
  > 10 18 0004 'MQTT' 05 06 003c 00 0001 'x' 00 0005 '$tree' 0000
  < 20 03 00 90 00
  closed

a Client Identifier longer than limits.client_id_bytes [MQTT-3.1.3-8]
  > 10 8e08 0004 'MQTT' 05 02 003c 00 0401 'x'*1025
  < 20 03 00 85 00
  closed

Remaining Length in more bytes than it needs [MQTT-1.5.5-1]
  > 10 8e00 0004 'MQTT' 05 02 003c 00 0001 'x'
  < 20 03 00 81 00
  closed

more bytes than a CONNECT can need, announced: 0x95 as soon as the level is read
  > 10 ffffff7f 0004 'MQTT' 05
  < 20 03 00 95 00
  closed

@ nothing, and it speaks MQTT 3.1.1

the reserved Connect Flag [3.1.1: MQTT-3.1.2-3]
  > 10 0d 0004 'MQTT' 04 03 003c 0001 'x'
  closed

Will QoS 3 [3.1.1: MQTT-3.1.2-14]
  > 10 12 0004 'MQTT' 04 1e 003c 0001 'x' 0001 'w' 0000
  closed

Will QoS 1 without a Will [3.1.1: MQTT-3.1.2-13]
  > 10 0d 0004 'MQTT' 04 0a 003c 0001 'x'
  closed

Will Retain without a Will [3.1.1: MQTT-3.1.2-15]
  > 10 0d 0004 'MQTT' 04 22 003c 0001 'x'
  closed

a Password without User Name [3.1.1: MQTT-3.1.2-22]
  > 10 10 0004 'MQTT' 04 42 003c 0001 'x' 0001 'p'
  closed

no Client Identifier and Clean Session 0 [3.1.1: MQTT-3.1.3-8]
  > 10 0c 0004 'MQTT' 04 00 003c 0000
  < 20 02 00 02
  closed

a Client Identifier longer than limits.client_id_bytes [3.1.1: MQTT-3.1.3-9]
  > 10 8d08 0004 'MQTT' 04 02 003c 0401 'x'*1025
  < 20 02 00 02
  closed

the Client Identifier is no UTF-8 [3.1.1: MQTT-1.5.3-1]
  > 10 0d 0004 'MQTT' 04 02 003c 0001 ff
  closed

a surrogate in the Client Identifier [3.1.1: MQTT-1.5.3-1]
  > 10 0f 0004 'MQTT' 04 02 003c 0003 edbfbf
  closed

U+0000 in the Client Identifier [3.1.1: MQTT-1.5.3-2]
  > 10 0d 0004 'MQTT' 04 02 003c 0001 00
  closed

the User Name is no UTF-8 [3.1.1: MQTT-3.1.3-11]
  > 10 10 0004 'MQTT' 04 82 003c 0001 'x' 0001 ff
  closed

the Will Topic is no UTF-8 [3.1.1: MQTT-3.1.3-10]
  > 10 12 0004 'MQTT' 04 06 003c 0001 'x' 0001 ff 0000
  closed

U+0000 in the Will Topic [3.1.1: MQTT-4.7.3-2]
  > 10 12 0004 'MQTT' 04 06 003c 0001 'x' 0001 00 0000
  closed

an empty Will Topic [3.1.1: MQTT-4.7.3-1]
  > 10 11 0004 'MQTT' 04 06 003c 0001 'x' 0000 0000
  closed

# in the Will Topic: it does not conform, so no CONNACK [3.1.1: MQTT-4.7.1-1] [3.1.1: MQTT-3.1.4-1]
  > 10 12 0004 'MQTT' 04 06 003c 0001 'x' 0001 '#' 0000
  closed

+ in the Will Topic [3.1.1: MQTT-4.7.1-1]
  > 10 14 0004 'MQTT' 04 06 003c 0001 'x' 0003 'a/+' 0000
  closed

a Will with a bad intent: PROTOCOL section 1 wants return code 3
  > 10 18 0004 'MQTT' 04 06 003c 0001 'x' 0007 '$sync/x' 0000
  < 20 02 00 03
  closed

no Will though the flags announce one
  > 10 0d 0004 'MQTT' 04 06 003c 0001 'x'
  closed

no User Name though the flags announce one [3.1.1: MQTT-3.1.2-19]
  > 10 0d 0004 'MQTT' 04 82 003c 0001 'x'
  closed

no Password though the flags announce one [3.1.1: MQTT-3.1.2-21]
  > 10 10 0004 'MQTT' 04 c2 003c 0001 'x' 0001 'u'
  closed

a User Name that the flags do not announce [3.1.1: MQTT-3.1.2-18]
  > 10 10 0004 'MQTT' 04 02 003c 0001 'x' 0001 'u'
  closed

a byte behind the last field [3.1.1: MQTT-3.1.4-1]
  > 10 0e 0004 'MQTT' 04 02 003c 0001 'x' 00
  closed

it ends before the Client Identifier [3.1.1: MQTT-3.1.3-3]
  > 10 0a 0004 'MQTT' 04 02 003c
  closed

it ends inside Keep Alive
  > 10 09 0004 'MQTT' 04 02 00
  closed

flags of the fixed header [3.1.1: MQTT-2.2.2-2]
  > 12 0d 0004 'MQTT' 04 02 003c 0001 'x'
  closed

more bytes than a CONNECT can need, announced
  > 10 ffffff7f 0004 'MQTT' 04
  closed

@ nothing, and it speaks MQTT 3.1

the reserved Connect Flag
  > 10 0f 0006 'MQIsdp' 03 03 003c 0001 'x'
  closed

Will QoS 3
  > 10 14 0006 'MQIsdp' 03 1e 003c 0001 'x' 0001 'w' 0000
  closed

no Client Identifier: MQTT 3.1 wants 1 to 23 characters
  > 10 0e 0006 'MQIsdp' 03 02 003c 0000
  < 20 02 00 02
  closed

no Client Identifier and Clean Session 0
  > 10 0e 0006 'MQIsdp' 03 00 003c 0000
  < 20 02 00 02
  closed

a Client Identifier longer than limits.client_id_bytes
  > 10 8f08 0006 'MQIsdp' 03 02 003c 0401 'x'*1025
  < 20 02 00 02
  closed

it ends inside the Client Identifier
  > 10 0f 0006 'MQIsdp' 03 02 003c 0002 'x'
  closed

more bytes than a CONNECT can need, announced
  > 10 ffffff7f 0006 'MQIsdp' 03
  closed

@ nothing, and it speaks no version of MQTT that is known

level 0 [3.1.1: MQTT-3.1.2-2]
  > 10 0d 0004 'MQTT' 00 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 3 under the name of later ones
  > 10 0d 0004 'MQTT' 03 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 6 [MQTT-3.1.2-2]
  > 10 0d 0004 'MQTT' 06 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 255
  > 10 0d 0004 'MQTT' ff 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 4 as a bridge of mosquitto says it
  > 10 0d 0004 'MQTT' 84 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 3 as a bridge of mosquitto says it
  > 10 0f 0006 'MQIsdp' 83 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 4 under the name of level 3
  > 10 0f 0006 'MQIsdp' 04 02 003c 0001 'x'
  < 20 02 00 01
  closed

level 5 under the name of level 3
  > 10 0f 0006 'MQIsdp' 05 02 003c 0001 'x'
  < 20 02 00 01
  closed

a Protocol Name in small letters [MQTT-3.1.2-1]
  > 10 0e 0004 'mqtt' 05 02 003c 00 0001 'x'
  closed

a Protocol Name with a letter more [MQTT-3.1.2-1]
  > 10 0f 0005 'MQTTx' 05 02 003c 00 0001 'x'
  closed

a Protocol Name with a letter less [3.1.1: MQTT-3.1.2-1]
  > 10 0c 0003 'MQT' 04 02 003c 0001 'x'
  closed

an empty Protocol Name [3.1.1: MQTT-3.1.2-1]
  > 10 09 0000 04 02 003c 0001 'x'
  closed

a Protocol Name that is no UTF-8
  > 10 0e 0004 ffffffff 05 02 003c 00 0001 'x'
  closed

a Protocol Name longer than the packet
  > 10 07 ffff 'MQTT' 05
  closed

an empty CONNECT
  > 10 00
  closed

half a Protocol Name
  > 10 04 0004 'MQ'
  closed

no level
  > 10 06 0004 'MQTT'
  closed

Remaining Length of five bytes [MQTT-1.5.5-1]
  > 10 8080808001
  closed

a web browser
  > 'GET / HTTP/1.1'
  closed

a TLS handshake on a port without TLS
  > 16 0301 0200 0100 01fc 0303
  closed

@ nothing, and something else comes first

PUBLISH [MQTT-3.1.0-1]
  > 30 04 0001 't' 'a'
  closed

PUBLISH of MQTT 5 with QoS 1 [MQTT-3.1.0-1]
  > 32 06 0001 't' 0001 00
  closed

PUBACK [MQTT-3.1.0-1]
  > 40 02 0001
  closed

PUBREC [MQTT-3.1.0-1]
  > 50 02 0001
  closed

PUBREL [MQTT-3.1.0-1]
  > 62 02 0001
  closed

PUBCOMP [MQTT-3.1.0-1]
  > 70 02 0001
  closed

SUBSCRIBE [MQTT-3.1.0-1]
  > 82 06 0001 0001 't' 00
  closed

UNSUBSCRIBE [MQTT-3.1.0-1]
  > a2 05 0001 0001 't'
  closed

PINGREQ [MQTT-3.1.0-1]
  > c0 00
  closed

DISCONNECT [MQTT-3.1.0-1]
  > e0 00
  closed

AUTH [MQTT-3.1.0-1]
  > f0 00
  closed

CONNACK [MQTT-3.1.0-1]
  > 20 02 0000
  closed

SUBACK [MQTT-3.1.0-1]
  > 90 03 0001 00
  closed

UNSUBACK [MQTT-3.1.0-1]
  > b0 02 0001
  closed

PINGRESP [MQTT-3.1.0-1]
  > d0 00
  closed

packet type 0 [MQTT-3.1.0-1]
  > 00 00
  closed

a PUBLISH of which the first byte is enough: nothing is gathered for it [MQTT-3.1.0-1]
  > 30
  closed

a PUBLISH of the largest size, announced [MQTT-3.1.0-1]
  > 30 ffffff7f 0001 't'
  closed
"#;

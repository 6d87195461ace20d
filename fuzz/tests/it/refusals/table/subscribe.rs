//! SUBSCRIBE and UNSUBSCRIBE.

pub const TEXT: &str = r#"
@ MQTT 5

SUBSCRIBE with flags 0 [MQTT-3.8.1-1]
  > 80 07 0003 00 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with flags 1 [MQTT-3.8.1-1]
  > 81 07 0003 00 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with flags 3 [MQTT-3.8.1-1]
  > 83 07 0003 00 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with flags a [MQTT-3.8.1-1]
  > 8a 07 0003 00 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with flags f [MQTT-3.8.1-1]
  > 8f 07 0003 00 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Packet Identifier 0 [MQTT-2.2.1-3]
  > 82 07 0000 00 0001 't' 00
  < e0 01 82
  closed

SUBSCRIBE with nothing
  > 82 00
  < e0 01 81
  closed

SUBSCRIBE with a Packet Identifier alone
  > 82 02 0003
  < e0 01 81
  closed

SUBSCRIBE without a filter [MQTT-3.8.3-2]
  > 82 03 0003 00
  < e0 01 82
  closed

an empty filter [MQTT-4.7.3-1]
  > 82 06 0003 00 0000 00
  < e0 01 81
  closed

a filter without options
  > 82 06 0003 00 0001 't'
  < e0 01 81
  closed

a second filter that ends early
  > 82 0a 0003 00 0001 't' 00 0005 'u'
  < e0 01 81
  closed

a filter that is no UTF-8 [MQTT-3.8.3-1]
  > 82 07 0003 00 0001 ff 00
  < e0 01 81
  closed

a surrogate in a filter [MQTT-1.5.4-1]
  > 82 09 0003 00 0003 eda080 00
  < e0 01 81
  closed

U+0000 in a filter [MQTT-4.7.3-2]
  > 82 07 0003 00 0001 00 00
  < e0 01 81
  closed

reserved bits 0x40 of the Subscription Options [MQTT-3.8.3-5]
  > 82 07 0003 00 0001 't' 40
  < e0 01 81
  closed

reserved bits 0x80 of the Subscription Options [MQTT-3.8.3-5]
  > 82 07 0003 00 0001 't' 80
  < e0 01 81
  closed

reserved bits 0xc0 of the Subscription Options [MQTT-3.8.3-5]
  > 82 07 0003 00 0001 't' c0
  < e0 01 81
  closed

reserved bits 0xc1 of the Subscription Options [MQTT-3.8.3-5]
  > 82 07 0003 00 0001 't' c1
  < e0 01 81
  closed

Maximum QoS 3: a Protocol Error by section 3.8.3.1
  > 82 07 0003 00 0001 't' 03
  < e0 01 82
  closed

Retain Handling 3: a Protocol Error by section 3.8.3.1
  > 82 07 0003 00 0001 't' 30
  < e0 01 82
  closed

bad options of the second filter refuse the whole packet
  > 82 0b 0003 00 0001 't' 00 0001 'u' 31
  < e0 01 82
  closed

No Local on a Shared Subscription [MQTT-3.8.3-4]
  > 82 10 0003 00 000a '$share/g/t' 04
  < e0 01 82
  closed

Subscription Identifier 0, section 3.8.2.1.2
  > 82 09 0003 02 0b 00 0001 't' 00
  < e0 01 82
  closed

Subscription Identifier twice, section 3.8.2.1.2
  > 82 0b 0003 04 0b 01 0b 02 0001 't' 00
  < e0 01 82
  closed

Subscription Identifier in more bytes than it needs [MQTT-1.5.5-1]
  > 82 0a 0003 03 0b 8100 0001 't' 00
  < e0 01 81
  closed

Subscription Identifier of five bytes
  > 82 0d 0003 06 0b 8080808001 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Payload Format Indicator, which is of another packet
  > 82 09 0003 02 01 01 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Session Expiry Interval, which is of another packet
  > 82 0c 0003 05 11 0000003c 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Reason String, which is of another packet
  > 82 0b 0003 04 1f 0001 's' 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Topic Alias, which is of another packet
  > 82 0a 0003 03 23 0001 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Response Topic, which is of another packet
  > 82 0b 0003 04 08 0001 'r' 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with Receive Maximum, which is of another packet
  > 82 0a 0003 03 21 000a 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with a property that is none
  > 82 09 0003 02 30 00 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with properties longer than the packet
  > 82 07 0003 7f 0001 't' 00
  < e0 01 81
  closed

SUBSCRIBE with a User Property that is no UTF-8
  > 82 0e 0003 07 26 0001 ff 0001 'v' 0001 't' 00
  < e0 01 81
  closed

@ MQTT 5, and a filter is refused by its own code

the filter a#: the packet can be read, so the others are granted [MQTT-4.7.1-1]
  > 82 08 0003 00 0002 'a#' 00
  < 90 04 0003 00 8f
  open

the filter #/a: the packet can be read, so the others are granted [MQTT-4.7.1-1]
  > 82 09 0003 00 0003 '#/a' 00
  < 90 04 0003 00 8f
  open

the filter a/#/b: the packet can be read, so the others are granted [MQTT-4.7.1-1]
  > 82 0b 0003 00 0005 'a/#/b' 00
  < 90 04 0003 00 8f
  open

the filter ##: the packet can be read, so the others are granted [MQTT-4.7.1-1]
  > 82 08 0003 00 0002 '##' 00
  < 90 04 0003 00 8f
  open

the filter a/b#: the packet can be read, so the others are granted [MQTT-4.7.1-1]
  > 82 0a 0003 00 0004 'a/b#' 00
  < 90 04 0003 00 8f
  open

the filter +a: the packet can be read, so the others are granted [MQTT-4.7.1-2]
  > 82 08 0003 00 0002 '+a' 00
  < 90 04 0003 00 8f
  open

the filter a+: the packet can be read, so the others are granted [MQTT-4.7.1-2]
  > 82 08 0003 00 0002 'a+' 00
  < 90 04 0003 00 8f
  open

the filter a/+b/c: the packet can be read, so the others are granted [MQTT-4.7.1-2]
  > 82 0c 0003 00 0006 'a/+b/c' 00
  < 90 04 0003 00 8f
  open

the filter ++: the packet can be read, so the others are granted [MQTT-4.7.1-2]
  > 82 08 0003 00 0002 '++' 00
  < 90 04 0003 00 8f
  open

the filter +#: the packet can be read, so the others are granted [MQTT-4.7.1-1]
  > 82 08 0003 00 0002 '+#' 00
  < 90 04 0003 00 8f
  open

good and bad filters, each with its code in their order [MQTT-3.9.3-1]
  > 82 1b 0003 00 0001 'a' 01 0002 'a#' 01 0003 'b/+' 02 0002 '+b' 00 0001 '#' 00
  < 90 08 0003 00 01 8f 02 8f 00
  open

more levels than limits.topic_levels
  > 82 ce01 0003 00 00c8 '/'*200 00
  < 90 04 0003 00 8f
  open

an intent without a filter
  > 82 0b 0003 00 0005 '$tree' 00
  < 90 04 0003 00 8f
  open

an intent that only PUBLISH takes
  > 82 0c 0003 00 0006 '$put/x' 00
  < 90 04 0003 00 8f
  open

an option that is none [MOTE-9.1]
  > 82 12 0003 00 000c '$tree;what/x' 00
  < 90 04 0003 00 8f
  open

a property `mote` that is no intent
  > 82 19 0003 12 26 0004 'mote' 0009 'tree;what' 0001 't' 00
  < 90 04 0003 00 8f
  open

prefix and property `mote` differ
  > 82 1a 0003 0d 26 0004 'mote' 0004 'sync' 0007 '$tree/x' 00
  < 90 04 0003 00 8f
  open

two properties `mote` that differ
  > 82 21 0003 1a 26 0004 'mote' 0004 'tree' 26 0004 'mote' 0004 'sync' 0001 't' 00
  < 90 04 0003 00 8f
  open

@ MQTT 3.1.1

SUBSCRIBE with flags 0 [3.1.1: MQTT-3.8.1-1]
  > 80 06 0003 0001 't' 00
  closed

SUBSCRIBE with flags a [3.1.1: MQTT-3.8.1-1]
  > 8a 06 0003 0001 't' 00
  closed

SUBSCRIBE with Packet Identifier 0 [3.1.1: MQTT-2.3.1-1]
  > 82 06 0000 0001 't' 00
  closed

SUBSCRIBE without a filter [3.1.1: MQTT-3.8.3-3]
  > 82 02 0003
  closed

an empty filter [3.1.1: MQTT-4.7.3-1]
  > 82 05 0003 0000 00
  closed

a filter without QoS
  > 82 05 0003 0001 't'
  closed

QoS 3 [3.1.1: MQTT-3.8.3-4]
  > 82 06 0003 0001 't' 03
  closed

reserved bits of the QoS [3.1.1: MQTT-3.8.3-4]
  > 82 06 0003 0001 't' 04
  closed

options of MQTT 5 [3.1.1: MQTT-3.8.3-4]
  > 82 06 0003 0001 't' 20
  closed

a filter that is no UTF-8 [3.1.1: MQTT-3.8.3-1]
  > 82 06 0003 0001 ff 00
  closed

U+0000 in a filter [3.1.1: MQTT-4.7.3-2]
  > 82 06 0003 0001 00 00
  closed

the filter a# gets the code of failure [3.1.1: MQTT-4.7.1-2]
  > 82 07 0003 0002 'a#' 01
  < 90 03 0003 80
  open

the filter #/a gets the code of failure [3.1.1: MQTT-4.7.1-2]
  > 82 08 0003 0003 '#/a' 01
  < 90 03 0003 80
  open

the filter +a gets the code of failure [3.1.1: MQTT-4.7.1-3]
  > 82 07 0003 0002 '+a' 01
  < 90 03 0003 80
  open

the filter a/b+ gets the code of failure [3.1.1: MQTT-4.7.1-3]
  > 82 09 0003 0004 'a/b+' 01
  < 90 03 0003 80
  open

good and bad filters [3.1.1: MQTT-3.8.4-5]
  > 82 0f 0003 0001 'a' 01 0002 'a#' 01 0001 'b' 02
  < 90 05 0003 01 80 02
  open

a bad intent [MOTE-9.1]
  > 82 11 0003 000c '$tree;what/x' 00
  < 90 03 0003 80
  open

@ MQTT 3.1

SUBSCRIBE with DUP, which MQTT 3.1 allows
  > 8a 06 0003 0001 't' 00
  < 90 03 0003 00
  open

SUBSCRIBE with QoS 0 in its header
  > 80 06 0003 0001 't' 00
  closed

QoS 3
  > 82 06 0003 0001 't' 03
  closed

SUBSCRIBE without a filter
  > 82 02 0003
  closed

@ MQTT 5

UNSUBSCRIBE with flags 0 [MQTT-3.10.1-1]
  > a0 06 0003 00 0001 't'
  < e0 01 81
  closed

UNSUBSCRIBE with flags 1 [MQTT-3.10.1-1]
  > a1 06 0003 00 0001 't'
  < e0 01 81
  closed

UNSUBSCRIBE with flags 3 [MQTT-3.10.1-1]
  > a3 06 0003 00 0001 't'
  < e0 01 81
  closed

UNSUBSCRIBE with flags a [MQTT-3.10.1-1]
  > aa 06 0003 00 0001 't'
  < e0 01 81
  closed

UNSUBSCRIBE with Packet Identifier 0 [MQTT-2.2.1-3]
  > a2 06 0000 00 0001 't'
  < e0 01 82
  closed

UNSUBSCRIBE without a filter [MQTT-3.10.3-2]
  > a2 03 0003 00
  < e0 01 82
  closed

UNSUBSCRIBE without properties
  > a2 02 0003
  < e0 01 81
  closed

UNSUBSCRIBE of an empty filter [MQTT-4.7.3-1]
  > a2 05 0003 00 0000
  < e0 01 81
  closed

UNSUBSCRIBE of a filter that is no UTF-8 [MQTT-3.10.3-1]
  > a2 06 0003 00 0001 ff
  < e0 01 81
  closed

UNSUBSCRIBE with U+0000 in the filter [MQTT-4.7.3-2]
  > a2 06 0003 00 0001 00
  < e0 01 81
  closed

UNSUBSCRIBE of a filter that ends early
  > a2 06 0003 00 0005 't'
  < e0 01 81
  closed

UNSUBSCRIBE with a Subscription Identifier
  > a2 08 0003 02 0b 01 0001 't'
  < e0 01 81
  closed

UNSUBSCRIBE with a property that is none
  > a2 08 0003 02 7a 00 0001 't'
  < e0 01 81
  closed

UNSUBSCRIBE of what was never subscribed to [MQTT-3.11.3-2]
  > a2 06 0003 00 0001 't'
  < b0 04 0003 00 11
  open

UNSUBSCRIBE of what nobody can subscribe to, among others
  > a2 11 0003 00 0001 't' 0002 'a#' 0002 '+b' 0001 'u'
  < b0 07 0003 00 11 8f 8f 11
  open

@ MQTT 3.1.1

UNSUBSCRIBE with flags 0 [3.1.1: MQTT-3.10.1-1]
  > a0 05 0003 0001 't'
  closed

UNSUBSCRIBE with Packet Identifier 0 [3.1.1: MQTT-2.3.1-1]
  > a2 05 0000 0001 't'
  closed

UNSUBSCRIBE without a filter [3.1.1: MQTT-3.10.3-2]
  > a2 02 0003
  closed

UNSUBSCRIBE of an empty filter [3.1.1: MQTT-4.7.3-1]
  > a2 04 0003 0000
  closed

UNSUBSCRIBE of a filter that is no UTF-8 [3.1.1: MQTT-3.10.3-1]
  > a2 05 0003 0001 ff
  closed

UNSUBSCRIBE of what was never subscribed to is acknowledged [3.1.1: MQTT-3.10.4-5]
  > a2 05 0003 0001 't'
  < b0 02 0003
  open
"#;

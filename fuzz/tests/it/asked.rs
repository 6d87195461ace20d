//! What a subscription to frames asks for, and what it does not get.

use super::*;

#[test]
fn a_filter_of_everything_leaves_topics_with_a_dollar_out() {
    // [MOTE-1.3]
    both_versions(|world, version| {
        let reader = subscriber(world, version, "r", "$tree/#", Q1);
        let publisher = client(world, version, "p");
        publish(world, publisher, message("$of/its/own", "1").retained());
        publish(world, publisher, message("a", "2").retained());
        assert_eq!(world.lines(reader), [r##"# {"a":2}"##]);
    });
}

#[test]
fn who_asks_for_sync_again_gets_a_snapshot_again() {
    // [MOTE-1.21]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("s/a", "1").retained());
        let reader = client(world, V5, "r");
        for _ in 0..2 {
            world.subscribe(reader, "$sync/s/+", Q1);
            world.run_until_quiet();
            let frames = world.messages(reader);
            assert_eq!(frames.iter().map(Message::line).collect::<Vec<_>>(), [r#"s/+ {"a":1}"#]);
            assert!(frames[0].retain && frames[0].properties.mote().unwrap().starts_with("frame;snap;n=0"));
        }
    });
}

#[test]
fn a_frame_has_none_of_the_properties_of_its_rows() {
    // [MOTE-2.10]
    worlds(|world| {
        let reader = subscriber(world, V5, "r", "$tree/f/+", Q1);
        let publisher = client(world, V5, "p");
        let properties = vec![
            Property::UserProperty("mine", "1"),
            Property::ContentType("text/plain"),
            Property::ResponseTopic("answers"),
            Property::CorrelationData(b"7"),
            Property::MessageExpiryInterval(60),
        ];
        publish(world, publisher, PublishOptions { properties, ..message("f/a", "1").retained() });
        let frames = world.messages(reader);
        assert_eq!(frames.iter().map(Message::line).collect::<Vec<_>>(), [r#"f/+ {"a":"1"}"#]);
        let read = frames[0].properties.read();
        assert_eq!((read.user_property("mine"), read.response_topic()), (None, None));
        assert_eq!((read.content_type(), read.message_expiry()), (Some("application/json"), None));
        assert_eq!(read.correlation_data(), None);
    });
}

#[test]
fn frames_that_were_unacknowledged_are_sent_again_as_they_were() {
    // [MOTE-2.35] [MOTE-2.36]
    both_versions(|world, version| {
        let first = world.connected(ConnectOptions::lasting(version, "s").silent());
        world.subscribe(first, "$tree/u/+", Q1);
        world.run_until_quiet();
        let publisher = client(world, version, "p");
        publish(world, publisher, message("u/a", "1").qos(Q1).retained());
        let before = world.messages(first);
        world.drop_client(first);
        world.run_until_quiet();
        publish(world, publisher, message("u/a", "2").qos(Q1).retained());
        publish(world, publisher, message("u/b", "3").qos(Q1).retained());
        let second = world.connected(ConnectOptions::lasting(version, "s"));
        let after = world.messages(second);
        let said = |frame: &Message| (frame.line(), frame.packet_id, frame.properties.clone());
        assert!(before.len() == 1 && after.len() == 2 && after[0].dup, "{after:?}");
        assert_eq!(said(&after[0]), said(&before[0]));
        assert_eq!(after[1].line(), r#"u/+ {"a":2,"b":3}"#);
    });
}

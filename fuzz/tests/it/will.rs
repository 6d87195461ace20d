//! The Will Message.

use super::*;

fn with_will(version: Version) -> ConnectOptions<'static> {
    ConnectOptions::new(version, "mortal").will("will/t", b"gone")
}

#[test]
fn a_connection_that_breaks_publishes_its_will() {
    // [MQTT-3.1.2-8] [3.1.1: MQTT-3.1.2-8]
    both_versions(|world, version| {
        let heir = subscriber(world, version, "heir", "will/#", Q1);
        let mortal = world.connected(with_will(version));
        world.drop_client(mortal);
        world.run_until_quiet();
        assert_eq!(world.lines(heir), ["will/t gone"]);
    });
}

#[test]
fn a_disconnect_takes_the_will_back() {
    // [MQTT-3.14.4-3] [MQTT-3.1.2-10] [3.1.1: MQTT-3.1.2-10] [3.1.1: MQTT-3.14.4-3]
    both_versions(|world, version| {
        let heir = subscriber(world, version, "heir", "will/#", Q1);
        let mortal = world.connected(with_will(version));
        world.disconnect(mortal, ReasonCode::Success);
        world.run_until_quiet();
        assert_eq!(world.lines(heir), [""; 0]);
    });
}

#[test]
fn a_disconnect_with_will_publishes_it() {
    // MQTT 5 section 3.14.2.1, reason 0x04
    worlds(|world| {
        let heir = subscriber(world, V5, "heir", "will/#", Q1);
        let mortal = world.connected(with_will(V5));
        world.disconnect(mortal, ReasonCode::DisconnectWithWill);
        world.run_until_quiet();
        assert_eq!(world.lines(heir), ["will/t gone"]);
    });
}

#[test]
fn silence_takeover_and_garbage_publish_it_too() {
    // [MQTT-3.1.2-8] [3.1.1: MQTT-3.1.2-8]: keep alive, protocol error; takeover by a clean session
    both_versions(|world, version| {
        let heir = subscriber(world, version, "heir", "will/#", Q1);
        world.connected(ConnectOptions { keep_alive: 2, ..with_will(version) });
        world.advance_ms(4_000);
        assert_eq!(world.lines(heir), ["will/t gone"], "silence");
        world.connected(with_will(version));
        let second = world.connected(with_will(version));
        assert_eq!(world.lines(heir), ["will/t gone"], "takeover");
        world.send(second, &[0x36, 0x02, 0x00, 0x00]);
        world.run_until_quiet();
        assert_eq!(world.lines(heir), ["will/t gone"], "garbage");
    });
}

#[test]
fn a_retained_will_is_kept_with_its_qos() {
    // [MQTT-3.1.2-15] [3.1.1: MQTT-3.1.2-17]
    both_versions(|world, version| {
        let mut options = with_will(version);
        options.will = options.will.map(|will| WillOptions { qos: Q2, retain: true, ..will });
        let mortal = world.connected(options);
        world.drop_client(mortal);
        world.run_until_quiet();
        let late = client(world, version, "late");
        world.subscribe(late, "will/t", Q2);
        world.run_until_quiet();
        let got = world.messages(late);
        assert_eq!(
            got.iter().map(|m| (m.line(), m.retain, m.qos)).collect::<Vec<_>>(),
            [("will/t gone".to_string(), true, Q2)]
        );
    });
}

#[test]
fn a_delayed_will_waits_and_a_client_that_returns_takes_it_back() {
    // [MQTT-3.1.3-9]
    worlds(|world| {
        let heir = subscriber(world, V5, "heir", "will/#", Q1);
        let delayed = || {
            let mut options = with_will(V5);
            options.clean = false;
            options.properties = vec![Property::SessionExpiryInterval(100)];
            options.will =
                options.will.map(|will| WillOptions { properties: vec![Property::WillDelayInterval(10)], ..will });
            options
        };
        let mortal = world.connected(delayed());
        world.drop_client(mortal);
        world.advance_ms(5_000);
        assert_eq!(world.lines(heir), [""; 0]);
        let back = world.connected(delayed());
        world.advance_ms(20_000);
        assert_eq!(world.lines(heir), [""; 0], "it came back in time");
        world.drop_client(back);
        world.advance_ms(9_000);
        assert_eq!(world.lines(heir), [""; 0]);
        world.advance_ms(2_000);
        assert_eq!(world.lines(heir), ["will/t gone"]);
    });
}

#[test]
fn a_will_may_be_a_tree() {
    // PROTOCOL section 1: a Will may carry an intent
    both_versions(|world, version| {
        let plain = subscriber(world, version, "plain", "light/hall/#", Q0);
        let tree = subscriber(world, version, "tree", "$tree/light/hall/+", Q0);
        let mortal =
            world.connected(ConnectOptions::new(version, "m").will("$tree/light/hall", br#"{"on":0,"dim":1}"#));
        world.drop_client(mortal);
        world.run_until_quiet();
        let mut got = world.lines(plain);
        got.sort();
        assert_eq!(got, ["light/hall/dim 1", "light/hall/on 0"]);
        assert_eq!(world.messages(tree).len(), 1);
    });
}

#[test]
fn a_takeover_that_ends_the_session_ends_the_delay_too() {
    // MQTT 5 section 3.1.4, comment on [MQTT-3.1.4-3]: Session Expiry Interval 0, or Clean Start
    for (expiry_s, clean) in [(0, false), (0, true), (100, true)] {
        worlds(|world| {
            let heir = subscriber(world, V5, "heir", "will/#", Q1);
            let mut options = with_will(V5);
            options.properties = vec![Property::SessionExpiryInterval(expiry_s)];
            options.will =
                options.will.map(|will| WillOptions { properties: vec![Property::WillDelayInterval(10)], ..will });
            world.connected(options);
            let second = world.connected(ConnectOptions { clean, ..ConnectOptions::new(V5, "mortal") });
            assert_eq!(connack(&world.received(second)), (false, 0));
            assert_eq!(world.lines(heir), ["will/t gone"], "expiry {expiry_s}, clean {clean}");
        });
    }
}

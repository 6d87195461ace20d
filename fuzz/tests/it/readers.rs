//! What readers of frames ask for themselves: `interval` and `state` (PROTOCOL section 2).

use super::*;
use crate::merged::{fold, kept, mark, rows, text};
use engine::row::fold::State;

/// Milliseconds at which live frames began, and all frames: one that more parts follow begins once.
fn begin_each_ms(
    world: &mut World,
    reader: ClientId,
    ms: u64,
    mut act: impl FnMut(&mut World, u64),
) -> (Vec<u64>, Vec<Message>) {
    let (mut begun, mut frames, mut is_part) = (Vec::new(), Vec::new(), false);
    for at in 0..2 * ms {
        // What is published comes at the moment that it is now, what waited at the next.
        if at % 2 == 0 {
            act(world, at / 2);
            world.run_until_quiet();
        } else {
            world.advance_ms(1);
        }
        for frame in world.messages(reader) {
            if mark(&frame).0 == "live" && !is_part {
                begun.push(at.div_ceil(2));
            }
            is_part = mark(&frame).1.contains(&"more".to_string());
            frames.push(frame);
        }
    }
    assert!(!is_part, "every series has its end");
    (begun, frames)
}

#[test]
fn changes_within_an_interval_are_one_frame() {
    // PROTOCOL section 2: at most one live frame in so many milliseconds; changes in between are merged [MOTE-2.63]
    both_versions(|world, version| {
        let publisher = client(world, version, "p");
        let reader = subscriber(world, version, "r", "$tree;interval=100/i/+", Q1);
        let mut state = State::new("i/+");
        let mut lines = |world: &mut World| {
            let frames = world.messages(reader);
            fold(&mut state, &frames);
            (frames.len(), text(&state))
        };
        publish(world, publisher, message("i/a", "1").retained());
        assert_eq!(lines(world), (1, r#"{"a":1}"#.to_string()), "the first comes at once");
        for value in ["2", "3", "4"] {
            publish(world, publisher, message("i/a", value).retained());
            publish(world, publisher, message("i/b", value).retained());
        }
        publish(world, publisher, message("i/b", "").retained());
        world.advance_ms(99);
        assert_eq!(lines(world).0, 0);
        world.advance_ms(1);
        assert_eq!(lines(world), (1, r#"{"a":4}"#.to_string()));
        world.advance_ms(1_000);
        assert_eq!(lines(world).0, 0, "nothing changed");
        publish(world, publisher, message("i/a", "5").retained());
        assert_eq!(lines(world), (1, r#"{"a":5}"#.to_string()), "the interval has passed long ago");
    });
}

#[test]
fn an_interval_holds_over_many_groups_and_beside_a_snapshot() {
    worlds(|world| {
        if world.plan.piece_bytes_max < 1_000 {
            return;
        }
        let publisher = client(world, V5, "p");
        publish(world, publisher, message("$tree/+/+", r#"{"a":{"1":0},"b":{"1":0},"c":{"1":0}}"#).retained());
        let reader = client(world, V5, "r");
        world.subscribe(reader, "$sync;interval=20/#", Q1);
        world.run_until_quiet();
        let mut state = State::new("#");
        fold(&mut state, &world.messages(reader));
        let (begun, frames) = begin_each_ms(world, reader, 300, |world, at| {
            if at < 250 {
                let topic = TOPICS[world.rng.below(TOPICS.len())];
                world.publish(publisher, message(topic, &at.to_string()).qos(Q1).retained());
            }
        });
        assert!(begun.len() > 5, "{begun:?}");
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{begun:?}");
        fold(&mut state, &frames);
        assert_eq!(rows(&state), kept(world, "#"), "and the newest state comes");
    });
}

#[test]
fn a_reader_of_state_gets_no_events_and_misses_none() {
    // PROTOCOL section 2: option `state` leaves events out [MOTE-2.25]
    worlds(|world| {
        let publisher = client(world, V5, "p");
        let state = subscriber(world, V5, "s", "$sync;state/e/+", Q1);
        let both = subscriber(world, V5, "b", "$sync/e/+", Q1);
        for (topic, is_event) in [("e/a", true), ("e/b", false), ("e/c", true), ("e/d", false)] {
            let row = message(topic, "1");
            publish(world, publisher, if is_event { row } else { row.retained() });
        }
        let kinds = |world: &mut World, reader| -> Vec<String> {
            world.messages(reader).iter().map(|frame| mark(frame).0).collect()
        };
        assert_eq!(kinds(world, state), ["live", "live"]);
        assert_eq!(kinds(world, both), ["event", "live", "event", "live"]);
        let user = [Property::UserProperty("mote", "tree;state;interval=0")];
        let options = SubscriptionOptions { qos: Q1, ..Default::default() };
        world.subscribe_with(both, &[("e/+", options)], &user);
        world.run_until_quiet();
        publish(world, publisher, message("e/x", "event"));
        publish(world, publisher, message("e/y", "2").retained());
        assert_eq!(world.lines(both), [r#"e/+ {"y":2}"#], "subscribed again with other options");
    });
}

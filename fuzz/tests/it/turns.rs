//! Who asks for much has it in shares of a turn (`limits.work_per_turn`, `limits.rows_per_turn`), and others have their
//! turn between them.

use super::*;

const MANY: usize = 60;

fn worlds_of_small_shares(conversation: impl Fn(&mut World)) {
    let set = |plan: &mut Plan| {
        plan.broker.limits.work_per_turn = 1;
        plan.broker.limits.rows_per_turn = 1;
    };
    worlds_with(set, conversation);
}

#[test]
fn a_client_that_sends_much_at_once_lets_others_have_their_turn_and_keeps_its_order() {
    worlds_of_small_shares(|world| {
        let reader = subscriber(world, V311, "reader", "a/#", Q1);
        let other = subscriber(world, V311, "other", "b", Q0);
        let (device, neighbour) = (client(world, V5, "device"), client(world, V5, "neighbour"));
        let topics: Vec<String> = (0..MANY).map(|number| format!("a/{number}")).collect();
        for topic in &topics {
            world.publish(device, message(topic, "x").qos(Q1));
        }
        world.publish(neighbour, message("b", "meanwhile"));
        run_until_heard(world, other);
        let before = world.peek(reader).len();
        // What crosses to another shard is counted there, and in crumbs everything takes its turns.
        if world.plan.shards == 1 && world.plan.piece_bytes_max == 65_536 {
            assert!(before < MANY, "all {before} messages before a neighbour is served");
        }
        world.run_until_quiet();
        assert_eq!(world.lines(other), ["b meanwhile"]);
        let want: Vec<String> = topics.iter().map(|topic| format!("{topic} x")).collect();
        assert_eq!(world.lines(reader), want); // [MQTT-4.6.0-6]
        assert_eq!(acks(&world.received(device)).len(), MANY);
    });
}

#[test]
fn what_a_client_said_before_it_ended_is_heard_though_its_share_was_used_up() {
    worlds_of_small_shares(|world| {
        let reader = subscriber(world, V311, "reader", "a/#", Q0);
        let device = client(world, V5, "device");
        for number in 0..MANY {
            world.publish(device, message(&format!("a/{number}"), "x"));
        }
        world.disconnect(device, ReasonCode::Success);
        world.run_until_quiet();
        assert_eq!(world.lines(reader).len(), MANY);
    });
}

#[test]
fn readers_who_all_ask_for_everything_get_it_though_one_slice_is_sent_in_a_turn() {
    worlds_of_small_shares(|world| {
        let device = client(world, V5, "device");
        for number in 0..MANY {
            publish(world, device, message(&format!("a/{number}"), "x").retained());
        }
        let readers: Vec<ClientId> = (0..6).map(|number| client(world, V5, &format!("reader{number}"))).collect();
        for reader in &readers {
            world.subscribe(*reader, "a/+", Q0);
        }
        world.run_until_quiet();
        for reader in readers {
            assert_eq!(world.lines(reader).len(), MANY);
        }
    });
}

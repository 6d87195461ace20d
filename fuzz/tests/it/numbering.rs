//! Numbers of groups and objects over restarts and kills (PROTOCOL section 5).

use super::conditional::{acked, version};
use super::*;
use engine::config::{self, Tombstones};
use engine::limits::VERSION_RESERVE;

/// Holds the conversation for a process that ends by itself and for one that is killed, where deletions are forgotten at
/// once and where they are not.
fn ends(conversation: impl Fn(&mut World, &dyn Fn(&mut World))) {
    for is_clean in [true, false] {
        for max in [0, 1_000] {
            let set = |plan: &mut Plan| {
                plan.has_store = true;
                plan.broker.tombstones = Tombstones { max, ..plan.broker.tombstones };
            };
            worlds_with(set, |world| {
                conversation(world, &|world| {
                    world.advance_ms(200); // what is older than this is not lost
                    assert!(max > 0 || world.tombstones() == 0);
                    world.restart(is_clean);
                });
            });
        }
    }
}

/// The version that the row got.
fn put(world: &mut World, client: ClientId, condition: &str, topic: &str, payload: &str) -> u64 {
    version(world, client, message(&format!("$put{condition}/{topic}"), payload).qos(Q1).retained())
}

/// The number of the object, which is not the one that is asked for.
fn object_version(world: &mut World, object: &str) -> u64 {
    let asker = client(world, V5, "asker");
    publish(world, asker, message(&format!("$put;if=987654321/{object}"), "x").qos(Q1).retained());
    let mote = acked(world, asker).mote.expect("a conflict");
    mote.strip_prefix("conflict;ver=").expect("a conflict").parse().unwrap()
}

#[test]
fn the_version_of_an_object_does_not_fall_when_a_deletion_is_forgotten_and_the_process_ends() {
    // [MOTE-5.7] [MOTE-5.6] [MOTE-5.37]
    ends(|world, restart| {
        let c = client(world, V5, "c");
        put(world, c, "", "obj/1/a", "x");
        let b = put(world, c, "", "obj/1/b/c", "x");
        put(world, c, "", "obj/2", "x");
        let deleted = put(world, c, "", "obj/1/b/c", "");
        assert!(deleted > b);
        for _ in 0..2 {
            assert_eq!((object_version(world, "obj"), object_version(world, "obj/1")), (deleted, deleted));
            restart(world);
        }
        let c = client(world, V5, "c");
        let again = put(world, c, &format!(";if={deleted}"), "obj/1", "x");
        assert!(again > deleted);
        // With the object goes its number; the next one's is greater all the same.
        let gone = ["obj/1/a", "obj/1", "obj/2"].map(|topic| put(world, c, "", topic, ""));
        restart(world);
        let c = client(world, V5, "c");
        let new = put(world, c, ";if=0", "obj/1", "x");
        assert!(new > gone[2]);
    });
}

/// What was acknowledged and lost with the process had a number: no other change gets it, and it is no object's.
#[test]
fn a_number_that_was_lost_is_not_used_again_and_is_no_condition_that_holds() {
    // [MOTE-5.1] [MOTE-5.2] [MOTE-5.4]
    worlds_with(
        |plan| plan.has_store = true,
        |world| {
            let c = client(world, V5, "c");
            let kept = put(world, c, "", "obj", "kept");
            world.advance_ms(200);
            world.stall_store();
            let lost = put(world, c, "", "obj", "lost");
            assert_eq!(lost, kept + 1);
            world.restart(false);
            let c = client(world, V5, "c");
            publish(world, c, message(&format!("$put;if={lost}/obj"), "x").qos(Q1).retained());
            assert_eq!(acked(world, c).mote, Some(format!("conflict;ver={kept}")));
            let next = put(world, c, &format!(";if={kept}"), "obj", "next");
            assert_eq!(next, VERSION_RESERVE + 1, "R + 1");
        },
    );
}

/// What is read of a history is not the subject here: how much of it there is on the disk, which starts leave as it is.
#[test]
fn the_last_changes_of_each_row_are_kept_over_restarts_and_no_others() {
    // [MOTE-5.40]
    let declared = |filter: &str, depth| config::History { filter: filter.into(), depth };
    for is_clean in [true, false] {
        let set = |plan: &mut Plan| {
            plan.has_store = true;
            plan.broker.history = vec![declared("store/#", 3), declared("other/+", 1)];
        };
        worlds_with(set, |world| {
            let change = |world: &mut World, texts: &[&str]| {
                let c = client(world, V5, "c");
                for text in texts {
                    publish(world, c, message("$tree/store", &format!(r#"{{"a":{text},"b":1}}"#)).qos(Q1).retained());
                    publish(world, c, message("other/x", text).qos(Q1).retained());
                    publish(world, c, message("else", text).qos(Q1).retained());
                }
                world.advance_ms(200);
            };
            change(world, &["1", "2", "3", "4", "5"]);
            assert_eq!(world.twin.records(b'h'), 3 + 3 + 1);
            world.restart(is_clean);
            assert_eq!(world.twin.records(b'h'), 3 + 3 + 1);
            change(world, &["6"]);
            let c = client(world, V5, "c");
            publish(world, c, message("store/b", "").qos(Q1).retained()); // a deletion is a change
            publish(world, c, message("store/b", "").qos(Q1).retained()); // and this is none
            world.advance_ms(200);
            assert_eq!(world.twin.records(b'h'), 3 + 3 + 1);
        });
    }
}

use std::time::Duration;

use bench::load::{Load, Plan, Scenario, Totals};

use crate::echo::{Trick, start};

fn run(scenario: Scenario, qos: u8, trick: Trick) -> Totals {
    let plan = Plan {
        scenario,
        broker: start(trick),
        clients: 3,
        qos,
        size: 300,
        in_flight: 20,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(200),
    };
    let mut marks = 0;
    let (totals, _) = Load::connect(plan).unwrap().run(|| marks += 1).unwrap();
    assert_eq!(marks, 2);
    totals
}

#[test]
fn every_scenario_delivers_in_order_and_without_loss() {
    for scenario in [Scenario::Pairs, Scenario::FanIn, Scenario::FanOut] {
        for qos in [0, 1] {
            let totals = run(scenario, qos, Trick::None);
            assert!(totals.delivered > 100, "{scenario:?} {qos} {totals:?}");
            assert_eq!((totals.lost, totals.reordered), (0, 0), "{scenario:?} {qos}");
        }
    }
}

#[test]
fn lost_messages_are_counted_and_stop_nobody() {
    let totals = run(Scenario::Pairs, 0, Trick::Lose);
    assert!(totals.lost * 5 > totals.delivered / 3 && totals.lost < totals.delivered, "{totals:?}");
}

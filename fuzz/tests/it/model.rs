//! Some random histories against the model of the Mote protocol on every run; `vopr --trees` runs more.

use fuzz::model::history::{Looked, run};

#[test]
fn random_histories_are_what_the_model_says() {
    // Steps: [MOTE-2.1..3] [MOTE-2.4] [MOTE-2.6..9] [MOTE-2.11..12] [MOTE-2.14..18] [MOTE-2.20..22] [MOTE-2.24] [MOTE-2.26]
    // [MOTE-2.28..30] [MOTE-2.41..43] [MOTE-2.47..48] [MOTE-2.51..53] [MOTE-2.57] [MOTE-3.1..13] [MOTE-3.18] [MOTE-5.5]
    // [MOTE-5.8] [MOTE-7.1] [MOTE-7.3..4]; storms: [MOTE-2.34] [MOTE-2.44..46] [MOTE-3.24] [MOTE-3.27] [MOTE-5.1] [MOTE-6.4]
    // [MOTE-7.9] [MOTE-2.25] [MOTE-2.59] [MOTE-2.62] [MOTE-6.7] [MOTE-2.55] [MOTE-2.60..61] [MOTE-3.29] [MOTE-4.1..5] [MOTE-5.6]
    // [MOTE-5.16..19] [MOTE-5.20..22] [MOTE-5.24]; sessions that come back: [MOTE-2.36].
    let mut looked = Looked::default();
    for seed in 0..150 {
        println!("seed {seed}");
        looked += run(seed, false);
    }
    println!("{looked:?}");
    assert!(
        looked.steps > 3_000 && looked.changes > 8_000 && looked.frames > 6_000 && looked.snapshots > 500,
        "it looked at little: {looked:?}"
    );
}

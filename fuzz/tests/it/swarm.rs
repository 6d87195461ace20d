//! Some seeds of the random clients on every run; `vopr` runs more.

use fuzz::swarm::{Looked, run};

#[test]
fn random_clients_get_what_the_oracle_owes() {
    let mut looked = Looked::default();
    for seed in 0..40 {
        println!("seed {seed}");
        looked += run(seed);
    }
    println!("{looked:?}");
    assert!(
        looked.messages > 4_000 && looked.replays > 400 && looked.frames > 1_000 && looked.shared > 2_000,
        "it looked at little: {looked:?}"
    );
}

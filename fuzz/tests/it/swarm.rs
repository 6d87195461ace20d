//! Some seeds of the random clients on every run; `vopr` runs more.

#[test]
fn random_clients_get_what_the_oracle_owes() {
    for seed in 0..40 {
        println!("seed {seed}");
        fuzz::swarm::run(seed);
    }
}

//! Seeds that ever failed do not fail again.

#[test]
fn seeds_that_ever_failed_pass() {
    let mut failed = Vec::new();
    for line in include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let (seed, _) = line.split_once(' ').expect("a seed and a sentence");
        if let Err(broken) = sim::run(seed.parse().expect("a number")) {
            failed.push(format!("seed {seed}: {broken}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

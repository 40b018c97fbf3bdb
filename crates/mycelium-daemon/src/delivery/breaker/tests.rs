use super::*;

const SECOND: Duration = Duration::from_secs(1);
const GOOD: Verdict = Verdict::Good { took: Duration::from_millis(20) };

fn policy() -> BreakerPolicy {
    BreakerPolicy { failures: 3, ..BreakerPolicy::default() }
}

fn at(secs: u64) -> Mono {
    Mono(secs * 1_000_000_000)
}

fn feed(breaker: &mut Breaker, verdicts: &[Verdict], now: Mono) {
    for &verdict in verdicts {
        let permit = breaker.ask(now).expect("closed");
        breaker.settle(permit, verdict, now);
    }
}

fn tripped() -> Breaker {
    let mut breaker = Breaker::new(policy(), 7);
    feed(&mut breaker, &[Verdict::Bad; 3], at(0));
    assert_eq!(breaker.position(), Position::Open);
    breaker
}

#[test]
fn only_what_the_endpoint_does_trips_it() {
    let slow = Verdict::Good { took: Duration::from_secs(11) };
    let limit = Verdict::Good { took: Duration::from_secs(10) };
    let rows: [(&[Verdict], Position, &str); 8] = [
        (&[Verdict::Bad, Verdict::Bad], Position::Closed, "two of three"),
        (&[Verdict::Bad; 3], Position::Open, "three in a row"),
        (&[Verdict::Bad, Verdict::Bad, GOOD, Verdict::Bad, Verdict::Bad], Position::Closed, "interrupted"),
        (&[slow; 3], Position::Open, "slow calls count"),
        (&[limit; 3], Position::Closed, "as slow as allowed"),
        (&[Verdict::Alive; 40], Position::Closed, "poison does not"),
        (&[Verdict::Unreachable; 40], Position::Closed, "no route is the network's fault"),
        (
            &[Verdict::Bad, Verdict::Bad, Verdict::Unreachable, Verdict::Bad],
            Position::Open,
            "nor does it heal",
        ),
    ];
    for (verdicts, want, why) in rows {
        let mut breaker = Breaker::new(policy(), 1);
        feed(&mut breaker, verdicts, at(0));
        assert_eq!(breaker.position(), want, "{why}");
    }
}

#[test]
fn every_second_call_failing_trips_it_though_never_two_in_a_row() {
    let mut breaker = Breaker::new(policy(), 1);
    feed(
        &mut breaker,
        &[GOOD, Verdict::Bad, GOOD, Verdict::Bad, GOOD, Verdict::Bad, GOOD, Verdict::Bad],
        at(0),
    );
    assert_eq!(breaker.position(), Position::Closed, "eight calls are not yet a rate over twelve");
    feed(&mut breaker, &[GOOD, Verdict::Bad, GOOD, Verdict::Bad], at(0));
    assert_eq!(breaker.position(), Position::Open);
}

#[test]
fn half_open_hands_out_one_permit_and_its_result_decides() {
    for (verdict, want) in [
        (GOOD, Position::Closed),
        (Verdict::Alive, Position::Closed),
        (Verdict::Bad, Position::Open),
        (Verdict::Good { took: 60 * SECOND }, Position::Open),
        (Verdict::Unreachable, Position::HalfOpen),
    ] {
        let mut breaker = tripped();
        let until = breaker.open_until().unwrap();
        assert_eq!(breaker.ask(at(1)), Err(until));
        let permit = breaker.ask(until).unwrap();
        let deadline = until + policy().probe_timeout;
        assert_eq!(breaker.ask(until), Err(deadline), "one permit only");
        breaker.settle(permit, verdict, until + SECOND);
        assert_eq!(breaker.position(), want, "{verdict:?}");
    }
}

#[test]
fn a_lost_permit_counts_as_failed_and_never_leaves_it_stuck() {
    let mut breaker = tripped();
    let until = breaker.open_until().unwrap();
    let lost = breaker.ask(until).unwrap();
    let after = until + policy().probe_timeout + SECOND;
    let again = breaker.ask(after).unwrap_err();
    assert!(again > after && breaker.position() == Position::Open);
    breaker.settle(lost, GOOD, after);
    assert_eq!(breaker.position(), Position::Open, "the late result decides nothing");
    let fresh = breaker.ask(again).unwrap();
    breaker.settle(fresh, GOOD, again);
    assert_eq!(breaker.position(), Position::Closed);
}

#[test]
fn a_late_success_of_before_the_trip_decides_nothing() {
    let mut breaker = Breaker::new(policy(), 1);
    let early = breaker.ask(at(0)).unwrap();
    feed(&mut breaker, &[Verdict::Bad; 3], at(0));
    // Seen red with the generation ignored: the old success closes the half-open breaker.
    let until = breaker.open_until().unwrap();
    let probe = breaker.ask(until).unwrap();
    breaker.settle(early, GOOD, until);
    assert_eq!(breaker.position(), Position::HalfOpen);
    breaker.settle(probe, Verdict::Bad, until);
    assert_eq!(breaker.position(), Position::Open);
}

#[test]
fn open_times_grow_to_the_cap_and_differ_between_devices() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut breaker = Breaker::new(policy(), seed);
        feed(&mut breaker, &[Verdict::Bad; 3], at(0));
        let mut now = at(0);
        for k in 0..8 {
            let until = breaker.open_until().unwrap();
            let ceiling = doubled(policy().open, k, policy().open_max);
            let open = until - now;
            assert!(open >= ceiling / 2 && open <= ceiling, "{k}: {open:?} of {ceiling:?}");
            now = until;
            let permit = breaker.ask(now).unwrap();
            breaker.settle(permit, Verdict::Bad, now);
        }
        seen.insert(now);
    }
    assert_eq!(seen.len(), 200, "no two devices knock at the same time");
}

#[test]
fn an_operator_overrules_it_and_hands_it_back() {
    let mut breaker = tripped();
    breaker.set_mode(BreakerMode::Closed);
    for _ in 0..20 {
        let permit = breaker.ask(at(1)).unwrap();
        breaker.settle(permit, Verdict::Bad, at(1));
    }
    assert_eq!(breaker.position(), Position::Closed, "forced closed does not trip");
    breaker.set_mode(BreakerMode::Open);
    assert_eq!((breaker.ask(at(2)), breaker.position()), (Err(NEVER), Position::Open));
    breaker.set_mode(BreakerMode::Auto);
    assert!(breaker.ask(at(3)).is_ok(), "decides again, and has forgotten the failures");
}

#[test]
fn what_is_kept_over_a_restart_comes_back_with_the_time_that_remained() {
    let breaker = tripped();
    let kept = breaker.snapshot(at(5));
    let rest = breaker.open_until().unwrap() - at(5);
    assert_eq!(
        kept,
        Snapshot { mode: BreakerMode::Auto, position: Position::Open, remaining: rest, opens: 1 }
    );
    let back = Breaker::restored(policy(), 1, kept, at(1000));
    assert_eq!(back.open_until(), Some(at(1000) + rest));
    assert_eq!(back.snapshot(at(1000)), kept);
    let absurd = Snapshot { remaining: Duration::MAX, ..kept };
    let cut = Breaker::restored(policy(), 1, absurd, at(0));
    assert_eq!(cut.open_until(), Some(at(30)), "a trial within the first open time, whatever was kept");
    let half = Snapshot { position: Position::HalfOpen, ..kept };
    assert!(Breaker::restored(policy(), 1, half, at(0)).ask(at(0)).is_ok());
}

/// Whatever happens to it, a request gets through within the longest open time and one probe deadline.
#[test]
fn no_sequence_of_results_leaves_it_stuck() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let mut breaker = Breaker::new(policy(), seed);
        let mut now = at(0);
        let mut last = now;
        for _ in 0..200 {
            match breaker.ask(now) {
                Ok(permit) => {
                    last = now;
                    now = now + up_to(&mut rng, 30 * SECOND);
                    match rng.u8(0..6) {
                        0 => breaker.settle(permit, GOOD, now),
                        1 => breaker.settle(permit, Verdict::Alive, now),
                        2 => breaker.settle(permit, Verdict::Unreachable, now),
                        3 => {}
                        _ => breaker.settle(permit, Verdict::Bad, now),
                    }
                }
                Err(until) => {
                    assert!(until > now, "seed {seed}: asks to wait for the past");
                    now = until;
                }
            }
            assert!(
                now - last <= policy().open_max + policy().probe_timeout * 2 + 60 * SECOND,
                "seed {seed}"
            );
        }
    }
}

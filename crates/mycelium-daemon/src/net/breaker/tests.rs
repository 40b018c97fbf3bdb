use super::*;

const SECOND: Duration = Duration::from_secs(1);
const GOOD: CallResult = CallResult::Success { took: Duration::from_millis(20) };

fn policy() -> BreakerPolicy {
    BreakerPolicy { failures: 3, ..BreakerPolicy::default() }
}

fn at(secs: u64) -> Mono {
    Mono(secs * 1_000_000_000)
}

fn feed(breaker: &mut Breaker, results: &[CallResult], now: Mono) {
    for &result in results {
        let permit = breaker.acquire(now).expect("closed");
        breaker.record_result(permit, result, now);
    }
}

fn tripped() -> Breaker {
    let mut breaker = Breaker::new(policy(), 7);
    feed(&mut breaker, &[CallResult::Failure; 3], at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn only_what_the_endpoint_does_trips_it() {
    let slow = CallResult::Success { took: Duration::from_secs(11) };
    let limit = CallResult::Success { took: Duration::from_secs(10) };
    let rows: [(&[CallResult], BreakerState, &str); 8] = [
        (&[CallResult::Failure, CallResult::Failure], BreakerState::Closed, "two of three"),
        (&[CallResult::Failure; 3], BreakerState::Open, "three in a row"),
        (
            &[CallResult::Failure, CallResult::Failure, GOOD, CallResult::Failure, CallResult::Failure],
            BreakerState::Closed,
            "interrupted",
        ),
        (&[slow; 3], BreakerState::Open, "slow calls count"),
        (&[limit; 3], BreakerState::Closed, "as slow as allowed"),
        (&[CallResult::Neutral; 40], BreakerState::Closed, "poison does not"),
        (&[CallResult::Unreachable; 40], BreakerState::Closed, "no route is the network's fault"),
        (
            &[CallResult::Failure, CallResult::Failure, CallResult::Unreachable, CallResult::Failure],
            BreakerState::Open,
            "nor does it heal",
        ),
    ];
    for (results, want, why) in rows {
        let mut breaker = Breaker::new(policy(), 1);
        feed(&mut breaker, results, at(0));
        assert_eq!(breaker.state(), want, "{why}");
    }
}

#[test]
fn every_second_call_failing_trips_it_though_never_two_in_a_row() {
    let mut breaker = Breaker::new(policy(), 1);
    feed(
        &mut breaker,
        &[
            GOOD,
            CallResult::Failure,
            GOOD,
            CallResult::Failure,
            GOOD,
            CallResult::Failure,
            GOOD,
            CallResult::Failure,
        ],
        at(0),
    );
    assert_eq!(breaker.state(), BreakerState::Closed, "eight calls are not yet a rate over twelve");
    feed(&mut breaker, &[GOOD, CallResult::Failure, GOOD, CallResult::Failure], at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn half_open_hands_out_one_permit_and_its_result_decides() {
    for (result, want) in [
        (GOOD, BreakerState::Closed),
        (CallResult::Neutral, BreakerState::Closed),
        (CallResult::Failure, BreakerState::Open),
        (CallResult::Success { took: 60 * SECOND }, BreakerState::Open),
        (CallResult::Unreachable, BreakerState::HalfOpen),
    ] {
        let mut breaker = tripped();
        let until = breaker.open_until().unwrap();
        assert_eq!(breaker.acquire(at(1)), Err(until));
        let permit = breaker.acquire(until).unwrap();
        let deadline = until + policy().probe_timeout;
        assert_eq!(breaker.acquire(until), Err(deadline), "one permit only");
        breaker.record_result(permit, result, until + SECOND);
        assert_eq!(breaker.state(), want, "{result:?}");
    }
}

#[test]
fn a_lost_permit_counts_as_failed_and_never_leaves_it_stuck() {
    let mut breaker = tripped();
    let until = breaker.open_until().unwrap();
    let lost = breaker.acquire(until).unwrap();
    let after = until + policy().probe_timeout + SECOND;
    let again = breaker.acquire(after).unwrap_err();
    assert!(again > after && breaker.state() == BreakerState::Open);
    breaker.record_result(lost, GOOD, after);
    assert_eq!(breaker.state(), BreakerState::Open, "the late result decides nothing");
    let fresh = breaker.acquire(again).unwrap();
    breaker.record_result(fresh, GOOD, again);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_late_success_of_before_the_trip_decides_nothing() {
    let mut breaker = Breaker::new(policy(), 1);
    let early = breaker.acquire(at(0)).unwrap();
    feed(&mut breaker, &[CallResult::Failure; 3], at(0));
    // Seen red with the generation ignored: the old success closes the half-open breaker.
    let until = breaker.open_until().unwrap();
    let probe = breaker.acquire(until).unwrap();
    breaker.record_result(early, GOOD, until);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.record_result(probe, CallResult::Failure, until);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn open_times_grow_to_the_cap_and_differ_between_devices() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut breaker = Breaker::new(policy(), seed);
        feed(&mut breaker, &[CallResult::Failure; 3], at(0));
        let mut now = at(0);
        for k in 0..8 {
            let until = breaker.open_until().unwrap();
            let ceiling = exponential(policy().open, k, policy().open_max);
            let open = until - now;
            assert!(open >= ceiling / 2 && open <= ceiling, "{k}: {open:?} of {ceiling:?}");
            now = until;
            let permit = breaker.acquire(now).unwrap();
            breaker.record_result(permit, CallResult::Failure, now);
        }
        seen.insert(now);
    }
    assert_eq!(seen.len(), 200, "no two devices try at the same time");
}

#[test]
fn an_operator_overrules_it_and_hands_it_back() {
    let mut breaker = tripped();
    breaker.set_mode(BreakerMode::Closed);
    for _ in 0..20 {
        let permit = breaker.acquire(at(1)).unwrap();
        breaker.record_result(permit, CallResult::Failure, at(1));
    }
    assert_eq!(breaker.state(), BreakerState::Closed, "forced closed does not trip");
    breaker.set_mode(BreakerMode::Open);
    assert_eq!((breaker.acquire(at(2)), breaker.state()), (Err(NEVER), BreakerState::Open));
    breaker.set_mode(BreakerMode::Auto);
    assert!(breaker.acquire(at(3)).is_ok(), "decides again, and has forgotten the failures");
}

#[test]
fn what_is_kept_over_a_restart_comes_back_with_the_time_that_remained() {
    let breaker = tripped();
    let kept = breaker.snapshot(at(5));
    let rest = breaker.open_until().unwrap() - at(5);
    assert_eq!(
        kept,
        BreakerSnapshot { mode: BreakerMode::Auto, state: BreakerState::Open, remaining: rest, opens: 1 }
    );
    let back = Breaker::restored(policy(), 1, kept, at(1000));
    assert_eq!(back.open_until(), Some(at(1000) + rest));
    assert_eq!(back.snapshot(at(1000)), kept);
    let absurd = BreakerSnapshot { remaining: Duration::MAX, ..kept };
    let cut = Breaker::restored(policy(), 1, absurd, at(0));
    assert_eq!(cut.open_until(), Some(at(30)), "a trial within the first open time, whatever was kept");
    let half = BreakerSnapshot { state: BreakerState::HalfOpen, ..kept };
    assert!(Breaker::restored(policy(), 1, half, at(0)).acquire(at(0)).is_ok());
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
            match breaker.acquire(now) {
                Ok(permit) => {
                    last = now;
                    now = now + jitter_up_to(&mut rng, 30 * SECOND);
                    match rng.u8(0..6) {
                        0 => breaker.record_result(permit, GOOD, now),
                        1 => breaker.record_result(permit, CallResult::Neutral, now),
                        2 => breaker.record_result(permit, CallResult::Unreachable, now),
                        3 => {}
                        _ => breaker.record_result(permit, CallResult::Failure, now),
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

//! Arguments to commands, without running any.

use std::ffi::OsString;
use std::path::PathBuf;

use mycelium_core::features::{Compat, Threshold};
use mycelium_core::sim::{Boundary, Model, Precision};
use mycelium_daemon::api::Scope;
use mycelium_daemon::cli::{CliCommand, ExitStatus, HelpTopic, OutboxAction, RunArgs, SeriesFormat, parse};

fn command(line: &str) -> CliCommand {
    parse(line.split_whitespace().map(OsString::from)).unwrap_or_else(|failure| panic!("{line}: {failure:?}"))
}

#[test]
fn every_documented_command_is_understood() {
    let run = RunArgs {
        config: Some("a.toml".into()),
        data_dir: Some("/d".into()),
        listen: Some("127.0.0.1:0".to_owned()),
    };
    let rows = [
        ("", CliCommand::Run(RunArgs::default()), "no argument at all runs"),
        (
            "run --config a.toml --data-dir=/d --listen 127.0.0.1:0",
            CliCommand::Run(run.clone()),
            "run in full",
        ),
        ("--config a.toml --data-dir /d --listen=127.0.0.1:0", CliCommand::Run(run), "run may be left out"),
        ("check --config a.toml", CliCommand::Check { config: Some("a.toml".into()) }, "check"),
        ("--version", CliCommand::Version, "version"),
        ("-V", CliCommand::Version, "short"),
        ("--help", CliCommand::Help(None), "help"),
        ("simulate --help", CliCommand::Help(Some(HelpTopic::Simulate)), "help of a command"),
        ("outbox list -h", CliCommand::Help(Some(HelpTopic::Outbox)), "behind an action"),
        ("help nernst", CliCommand::Help(Some(HelpTopic::Nernst)), "help as a command"),
    ];
    for (line, want, why) in rows {
        assert_eq!(command(line), want, "{why}");
    }
}

#[test]
fn simulate_takes_all_its_options() {
    let line = "simulate --grid 32 --steps 10 --seed 7 --model mfn --precision f64 --boundary neumann --alpha 0.1 \
                --no-turing --jitter-variance 0.001 --spike-probability 0.5 --init i.npy --spikes e.csv --state s.npy \
                --history h.npy --every 2 --compat 4.1 --threshold quantile:0.9 --window 16 --format csv \
                --set turing.rate=0.03 --connectivity 8";
    let CliCommand::Simulate(args) = command(line) else { panic!("{line}") };
    assert_eq!((args.steps, args.seed, args.every, args.profile.window), (10, 7, 2, 16));
    assert_eq!(args.params.get("grid"), Some(32.0));
    assert_eq!((args.params.model, args.params.precision), (Model::Mfn, Precision::F64));
    assert_eq!((args.params.boundary, args.params.turing_enabled), (Boundary::Neumann, false));
    assert_eq!((args.params.get("alpha"), args.params.get("jitter_variance")), (Some(0.1), Some(0.001)));
    assert_eq!(args.params.get("turing.rate"), Some(0.03));
    assert_eq!(
        (args.profile.compat, args.profile.threshold, args.format),
        (Compat::V41, Threshold::Quantile(0.9), SeriesFormat::Csv)
    );
    assert_eq!(args.init, Some(PathBuf::from("i.npy")));
}

#[test]
fn defaults_are_those_of_the_help() {
    let CliCommand::Simulate(args) = command("simulate") else { panic!() };
    assert_eq!(
        (args.steps, args.seed, args.every, args.profile.window, args.format),
        (1000, 42, 1, 64, SeriesFormat::Json)
    );
    assert_eq!((args.params.model, args.params.get("jitter_variance")), (Model::Excitable, Some(0.0)));
    let CliCommand::KeyNew(key) = command("key new --scope read") else { panic!() };
    assert_eq!((key.name.as_str(), key.scope), ("read", Scope::Read));
    let CliCommand::Outbox(args) = command("outbox replay 3 5 --data-dir d") else { panic!() };
    assert_eq!((args.action, args.ids), (OutboxAction::Replay, vec![3, 5]));
}

#[test]
fn wrong_arguments_are_refused_with_name_value_and_remedy() {
    let rows = [
        (
            "fly",
            "\"fly\" is not a command; there are run, check, init, status, health, key, outbox, push, signals, simulate, features, nernst, completions, man",
        ),
        ("--fly", "invalid option '--fly'"),
        ("run extra", "unexpected argument \"extra\""),
        ("check --config", "missing argument for option '--config'"),
        ("run --config=", "--config is empty; it must name a file"),
        ("simulate --grid 7", "--grid is 7; it must be a whole number from 8 to 512"),
        ("simulate --grid 8.5", "--grid is 8.5; it must be a whole number from 8 to 512"),
        ("simulate --grid x", "--grid is \"x\"; it must be a number"),
        ("simulate --steps 0", "--steps is 0; it must be a whole number from 1 to 1000000000"),
        (
            "simulate --steps 1000000001",
            "--steps is 1000000001; it must be a whole number from 1 to 1000000000",
        ),
        ("simulate --steps 1e3", "--steps is \"1e3\"; it must be a whole number from 1 to 1000000000"),
        ("simulate --every 0", "--every is 0; it must be a whole number from 1 to 1000000000"),
        ("simulate --seed -1", "--seed is \"-1\"; it must be a whole number from 0 to 18446744073709551615"),
        ("simulate --alpha 0.25", "--alpha is 0.25; it must be a number above 0 and below 0.25"),
        ("simulate --alpha nan", "--alpha is NaN; it must be a number above 0 and below 0.25"),
        ("simulate --jitter-variance 0.02", "--jitter-variance is 0.02; it must be a number from 0 to 0.01"),
        ("simulate --spike-probability 1.1", "--spike-probability is 1.1; it must be a number from 0 to 1"),
        (
            "simulate --model life",
            "--model is \"life\"; it must be one of mfn, turing, excitable, gray_scott",
        ),
        ("simulate --precision f16", "--precision is \"f16\"; it must be one of f32, f64"),
        (
            "simulate --boundary open",
            "--boundary is \"open\"; it must be one of periodic, neumann, dirichlet",
        ),
        ("simulate --compat 4", "--compat is \"4\"; it must be 4.1"),
        ("simulate --window 1", "--window is 1; it must be a whole number from 2 to 4096"),
        (
            "simulate --threshold high",
            "--threshold is \"high\"; it must be otsu | fixed:MILLIVOLTS (from -1000 to 1000) | quantile:Q (from 0 to 1)",
        ),
        ("simulate --set rate", "--set is \"rate\"; it must be NAME=NUMBER, such as turing.rate=0.03"),
        ("simulate --set no=1", "--set: unknown parameter `no`; see the table [sim] in docs/CONFIG.md"),
        ("simulate --set turing.rte=1", "--set: unknown parameter `turing.rte`; did you mean `turing.rate`?"),
        ("simulate --no-turing=yes", "unexpected argument for option '--no-turing': \"yes\""),
        ("simulate --out t.csv", "--out needs --sweep: it names the table of a sweep"),
        (
            "simulate --history a.npy --state a.npy",
            "--history and --state name the same file: one would replace the other",
        ),
        (
            "simulate --steps 10 --every 30 --history a.npy",
            "--every is 30; it must be at most --steps, which is 10: no frame would be written to --history",
        ),
        (
            "simulate --sweep s.toml --history h.npy",
            "--sweep and --history cannot be used together: a sweep writes one row of CSV per run",
        ),
        (
            "simulate --state s.npy --sweep s.toml",
            "--sweep and --state cannot be used together: a sweep writes one row of CSV per run",
        ),
        (
            "simulate --sweep s.toml --format json",
            "--sweep and --format cannot be used together: a sweep writes one row of CSV per run",
        ),
        ("features", "features needs the name of an NPY file"),
        ("features a.npy b.npy", "unexpected argument \"b.npy\""),
        ("nernst --z 1 --out 0.1", "nernst needs --in"),
        ("nernst --z 3 --out 1 --in 1", "--z is 3; it must be -2, -1, 1 or 2"),
        ("nernst --z 1 --out 0 --in 1", "--out is 0; it must be finite and above 0"),
        ("nernst --z 1 --out inf --in 1", "--out is inf; it must be finite and above 0"),
        ("nernst --z 1 --out 1 --in 1 --temperature 200", "--temperature is 200; it must be from 273 to 373"),
        ("nernst --z one --out 1 --in 1", "--z is \"one\"; it must be -2, -1, 1 or 2"),
        ("outbox", "outbox needs one of list, verify, dead, replay, drop"),
        ("outbox burn", "outbox \"burn\" is not known; it must be one of list, verify, dead, replay, drop"),
        ("outbox drop one", "\"one\" is not the id of a dead letter"),
        ("outbox list 5", "unexpected argument \"5\""),
        ("outbox drop", "outbox drop needs the ids of dead letters, as `outbox dead` prints them, or --all"),
        (
            "outbox replay --all 5",
            "outbox replay needs the ids of dead letters, as `outbox dead` prints them, or --all",
        ),
        ("simulate --sed 5", "invalid option '--sed'; did you mean --seed?"),
        ("health --keyfile a", "invalid option '--keyfile'; did you mean --key-file?"),
        ("chek", "\"chek\" is not a command; did you mean check?"),
        ("completions tcsh", "shell is \"tcsh\"; it must be one of bash, zsh, fish"),
        ("key", "key needs `new` or `show`"),
        ("key new --scope root", "--scope is \"root\"; it must be one of read, write, admin"),
        ("key new --name a/b", "--name is \"a/b\"; it must be 1 to 64 characters of [A-Za-z0-9._-]"),
        (
            "health https://x/",
            "health URL is \"https://x/\"; it must be http://HOST:PORT or http://HOST:PORT/PATH, https:// and an \
             address of this machine such as 127.0.0.1:8600, or unix: and the path of a Unix socket",
        ),
    ];
    for (line, want) in rows {
        let failure = parse(line.split_whitespace().map(OsString::from)).unwrap_err();
        assert_eq!(failure.code, Some(ExitStatus::Usage), "{line}");
        assert_eq!(failure.lines, [want], "{line}");
    }
}

#[test]
fn arguments_that_are_not_utf_8_are_refused_and_file_names_may_be() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"\xff.npy".to_vec());
    let as_model = parse(["simulate".into(), "--model".into(), odd.clone()]).unwrap_err();
    assert_eq!(as_model.code, Some(ExitStatus::Usage));
    let as_file = parse(["features".into(), odd.clone()]).unwrap();
    assert!(matches!(as_file, CliCommand::Features(args) if args.file == odd));
}

//! `myceliumd signals`: the same numbers as a channel, and what it says of tables that it cannot read.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use crate::support::process::{Scratch, binary};
use mycelium_core::signals::{RawSignalSettings, SignalChannel, SignalOutput, SignalSettings};
use mycelium_daemon::formats::json;

fn run(table: &[u8], line: &str) -> Output {
    let mut child = binary()
        .args(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that refuses its arguments does not read.
    drop(input.write_all(table));
    drop(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command_gives_the_same_numbers_as_a_channel() {
    let mut rng = fastrand::Rng::with_seed(5);
    let samples: Vec<(i64, f64)> =
        (0..3_000).map(|k| (k * 500 + rng.i64(0..400), rng.f64() * 20.0)).collect();
    let mut table = "t,other,mV\n".to_owned();
    for (t, value) in &samples {
        table.push_str(&format!("{t},x,{value:?}\n"));
    }
    let sets = [("window_s", "100"), ("periods_s", "7,20"), ("scale", "0.1"), ("spikes.window_s", "64")];
    let mut line = "signals - --time t --column mV --set time_format=unix_ms".to_owned();
    let mut raw = RawSignalSettings::default();
    for (key, value) in sets {
        raw.set(key, value).unwrap();
        line.push_str(&format!(" --set {key}={value}"));
    }
    let output = run(table.as_bytes(), &line);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let mut windows = Vec::new();
    let mut channel = SignalChannel::new(SignalSettings::checked(&raw).unwrap());
    let mut take = |output: SignalOutput<'_>| {
        if let SignalOutput::Window(window) = output {
            windows.push(*window);
        }
    };
    for &(t, value) in &samples {
        channel.push(t, value, &mut take);
    }
    channel.close(&mut take);
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), windows.len());
    for (line, window) in stdout.lines().zip(&windows) {
        let member =
            |name: &str| json::members(line).find(|member| member.key == name).unwrap().value.to_owned();
        assert_eq!(member("count"), window.count.to_string());
        let mut known = 0;
        window.for_each_value(|name, value| {
            let shown = member(name);
            known += u32::from(value.is_some());
            assert_eq!(shown.parse::<f64>().ok(), value, "{name}: {shown}");
        });
        assert!(known > 20, "{line}");
    }
}

#[test]
fn events_are_windows_spikes_and_samples_with_their_types() {
    let table: String = (0..100).map(|k| format!("{k},{}\n", k * k)).collect();
    let line = "signals - --time 0 --column 1 --set time_format=unix_s --set raw=true --events";
    let output = text(&run(table.as_bytes(), line).stdout);
    let types: Vec<_> = output.lines().map(|line| &line[..line.find(",\"data\"").unwrap()]).collect();
    let (window, samples) =
        ("{\"type\":\"io.mycelium.signal.window.v1\"", "{\"type\":\"io.mycelium.signal.samples.v1\"");
    assert_eq!(types, [window, samples, window, samples]);
    assert!(output.contains("\"t0\":\"1970-01-01T00:01:00.000Z\",\"dt_ms\":[0,1000,2000"), "{output}");
}

#[test]
fn lines_that_cannot_be_read_are_left_out_and_counted() {
    let table = b"\xef\xbb\xbftime,v\n1,1\n\n2,x\n3,\nyesterday,4\n4,nan\n1e300,5\n5\n6,\xff\n\"7,7\n8,2\n70,3\n9,4\n";
    let output = run(table, "signals - --time time --column v --set time_format=unix_s");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let want = "myceliumd: 8 lines are left out; the first is line 4: v is \"x\", which is not a number\n\
                myceliumd: 1 sample is older than the window before it, and in no feature\n";
    assert_eq!(stderr, want);
    let counts: Vec<_> = text(&output.stdout).lines().map(|line| line.contains("\"count\":2")).collect();
    assert_eq!(counts, [true, false], "{}", text(&output.stdout));
}

#[test]
fn wrong_tables_and_settings_are_refused_with_their_reason() {
    let rows = [
        ("signals - --time t --column w", 65, "-: --column \"w\" is no column; there are t, v"),
        ("signals - --time 2 --column v", 65, "-: --time \"2\" is no column; there are t, v"),
        ("signals --time t --column v", 64, "signals needs a CSV file, or - for standard input"),
        ("signals - --column v", 64, "signals needs --time, the column of times"),
        ("signals - --time t", 64, "signals needs --column, the column of values"),
        ("signals - --time t --column v --set low", 64, "--set \"low\" is not KEY=VALUE"),
        (
            "signals - --time t --column v --set window_s=0",
            64,
            "--set `window_s` is 0; it must be from 1 to 86400",
        ),
        ("signals - --time t --column v --set raw=1", 64, "--set is raw=\"1\"; it must be true or false"),
        (
            "signals - --time t --column v --set time_format=x",
            64,
            "--set is time_format=\"x\"; it must be one of",
        ),
        ("signals none.csv --time t --column v", 74, "cannot open none.csv: "),
    ];
    for (line, code, message) in rows {
        let output = run(b"t,v\n1,2\n", line);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
        assert!(stderr.starts_with(&format!("myceliumd: {message}")), "{line}: {stderr}");
    }
    let long = format!("t,v\n{}", "9".repeat(70_000));
    let output = run(long.as_bytes(), "signals - --time t --column v");
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("-: line 2 is longer than 65536 bytes: not a table"));
}

#[test]
fn a_file_is_read_as_standard_input_is() {
    let scratch = Scratch::new("signals");
    let file = scratch.0.join("log.csv");
    fs::write(&file, "t,v\n1970-01-01T00:00:01Z,2\n").unwrap();
    let output = run(b"", &format!("signals {} --time t --column v", file.display()));
    assert!(text(&output.stdout).starts_with("{\"input\":\"v\",\"start\":\"1970-01-01T00:00:00.000Z\""));
}

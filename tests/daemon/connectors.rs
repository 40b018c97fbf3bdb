//! Sensors and the real binary: an HTTP sensor and a growing file drive the field, and their values are in the records
//! that a receiver gets.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::process::{Daemon, Scratch, binary, wait_for};

/// A calm field, so that whatever moves was moved from outside.
const CALM: &str = "[sim]\nmodel = \"mfn\"\nprecision = \"f64\"\nspike_probability = 0.0\ntick_ms = 2\ngrid = 16\nseed = 1\n\
    [features]\nevery = 5\n[outbox]\nwindow_steps = 100\ngroup_ms = 10\n[api.rate]\nper_second = 100000\nburst = 100000\n";

/// What the world outside says and hears.
#[derive(Default)]
struct World {
    /// Status and body for each GET.
    sensor: (u16, String),
    /// Fields of the requests to the sensor.
    heads: Vec<String>,
    /// Bodies of what was posted.
    posted: Vec<String>,
}

/// A sensor at GET and a receiver at POST; one request per connection.
fn world(sensor: (u16, &str)) -> (SocketAddr, Arc<Mutex<World>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = Arc::new(Mutex::new(World { sensor: (sensor.0, sensor.1.to_owned()), ..World::default() }));
    let seen = Arc::clone(&world);
    // Ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &seen);
        }
    });
    (address, world)
}

fn answer(mut stream: TcpStream, world: &Mutex<World>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(n) = lower.strip_prefix("content-length: ") {
            length = n.trim().parse().unwrap();
        }
        head.push_str(&lower);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut world = world.lock().unwrap();
    let (status, text) = if head.starts_with("post") {
        world.posted.push(String::from_utf8(body).unwrap());
        (204, String::new())
    } else {
        world.heads.push(head);
        world.sensor.clone()
    };
    drop(world);
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes())
}

/// Volts of the newest frame of the ring, row by row.
fn field(daemon: &Daemon) -> Option<Vec<Vec<f64>>> {
    let answer = daemon.get("/v1/field?format=json");
    let cells = answer.text().split_once("[[")?.1.split_once("]]")?.0;
    Some(cells.split("],[").map(|row| row.split(',').map(|v| v.parse().unwrap()).collect()).collect())
}

/// Whether that cell is above -50 mV and none is above it.
fn is_driven(daemon: &Daemon, row: usize, col: usize) -> bool {
    field(daemon).is_some_and(|cells| {
        let highest = cells.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        cells[row][col] > -0.05 && cells[row][col] == highest
    })
}

/// The series `name` as it stands among the inputs of the first record that has it.
fn recorded(world: &Mutex<World>, name: &str) -> Option<String> {
    let marker = format!("\"{name}\":{{\"min\":");
    world.lock().unwrap().posted.iter().find_map(|body| {
        let (_, inputs) = body.split_once("\"inputs\":{")?;
        Some(inputs[inputs.find(&marker)?..].split('}').next()?.to_owned())
    })
}

fn health(daemon: &Daemon) -> String {
    daemon.get("/v1/health/connectors").text().to_owned()
}

#[test]
fn an_http_sensor_drives_the_field_and_its_values_are_in_the_delivered_windows() {
    let scratch = Scratch::new("sensor");
    let (address, world) = world((503, ""));
    let config = format!(
        "{CALM}[breaker]\nopen_ms = 20\nopen_max_ms = 20\n\
        [[webhooks]]\nname = \"hub\"\nurl = \"http://{address}/hook\"\nlinger_ms = 1\nspread_ms = 0\n\
        [[connectors]]\nname = \"greenhouse\"\nkind = \"http\"\nurl = \"http://{address}/now?token=hush\"\ninterval_ms = 10\n\
        headers = {{ Authorization = \"Bearer very-secret\" }}\n\
        [[inputs]]\nname = \"air.celsius\"\nconnector = \"greenhouse\"\npointer = \"/sensors/0/value\"\nrow = 5\ncol = 7\ngain = 0.001\n\
        [[inputs]]\nname = \"door\"\nconnector = \"greenhouse\"\npointer = \"/door~1open\"\n"
    );
    let daemon = Daemon::start(&scratch.0, &config);
    wait_for("the breaker to open over a sensor that fails", || {
        health(&daemon).contains("\"breaker\":\"open\"").then_some(())
    });
    let calm = wait_for("a frame", || field(&daemon));
    assert!(calm.iter().flatten().all(|&v| v < -0.05), "nothing moves before the sensor speaks: {calm:?}");

    world.lock().unwrap().sensor = (200, "{\"sensors\":[{\"value\":21.5}],\"door/open\":true}".to_owned());
    wait_for("the cell to be driven", || is_driven(&daemon, 5, 7).then_some(()));
    let record = wait_for("a record with the temperature", || recorded(&world, "air.celsius"));
    assert!(record.contains("\"min\":21.5,\"mean\":21.5,\"max\":21.5,\"last\":21.5,\"count\":"), "{record}");
    assert!(wait_for("the door", || recorded(&world, "door")).contains("\"max\":1.0"));

    let text = health(&daemon);
    for part in [
        "\"name\":\"greenhouse\",\"kind\":\"http\",\"breaker\":\"closed\"",
        "\"name\":\"air.celsius\",\"connector\":\"greenhouse\",\"values\":",
        "\"value\":21.5",
        "\"last_error\":null",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let metrics = daemon.ask("GET", "/metrics", &[], "").text().to_owned();
    for line in [
        "mfn_input_value{input=\"air.celsius\"} 21.5",
        "mfn_connector_breaker_state{connector=\"greenhouse\",state=\"closed\"} 1",
        "mfn_connector_rejected_total{connector=\"greenhouse\",reason=\"malformed\"} 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "no {line} in {metrics}");
    }
    let heads = world.lock().unwrap().heads.clone();
    let head = heads.last().unwrap();
    let carried = |head: &String| {
        let rest = head.split_once("traceparent: 00-")?.1;
        rest.lines().next()?.strip_suffix("-00").map(str::to_owned)
    };
    let mut places: Vec<_> =
        heads.iter().map(|head| carried(head).expect("every look carries a place in a trace")).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), heads.len(), "each look has its own");
    assert!(
        head.starts_with("get /now?token=hush http/1.1") && head.contains("bearer very-secret"),
        "{head}"
    );

    // An answer that makes no sense is left out, said once, and the sensor goes on.
    world.lock().unwrap().sensor = (200, "<html>log in</html>".to_owned());
    wait_for("the bad answer to be seen", || health(&daemon).contains("is not JSON").then_some(()));
    world.lock().unwrap().sensor = (200, "{\"sensors\":[{\"value\":30}]}".to_owned());
    wait_for("the next good one", || health(&daemon).contains("\"value\":30.0").then_some(()));
    let log = daemon.log();
    assert!(log.contains("connector greenhouse: cannot read http://") && !log.contains("hush"), "{log}");
    assert!(!log.contains("very-secret"), "{log}");
    assert_eq!(daemon.stop().code(), Some(0));
}

/// A sensor that keeps its connections for `requests` requests each; how many it has accepted.
fn kept_alive(requests: usize) -> (SocketAddr, Arc<Mutex<u64>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepted: Arc<Mutex<u64>> = Arc::default();
    let counted = Arc::clone(&accepted);
    // Ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            *counted.lock().unwrap() += 1;
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for _ in 0..requests {
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    line.clear();
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"x\":1}";
                stream.write_all(answer).unwrap();
            }
        }
    });
    (address, accepted)
}

/// Mutant seen red: a pool without idle connections.
#[test]
fn a_sensor_is_asked_over_one_connection_until_it_closes_it() {
    let scratch = Scratch::new("kept");
    let (address, accepted) = kept_alive(5);
    let config = format!(
        "{CALM}[[connectors]]\nname = \"probe\"\nkind = \"http\"\nurl = \"http://{address}/\"\ninterval_ms = 10\n\
        [[inputs]]\nname = \"x\"\nconnector = \"probe\"\npointer = \"/x\"\n"
    );
    let daemon = Daemon::start(&scratch.0, &config);
    let count = |series: &str| {
        let text = daemon.ask("GET", "/metrics", &[], "").text().to_owned();
        let line = text.lines().find(|line| line.starts_with(series)).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let opened = || count("mfn_connections_opened_total{endpoint=\"probe\"}");
    wait_for("the fourth connection", || (opened() >= 4).then_some(()));
    // A scrape is one moment: opened before reused, so that more may have been reused meanwhile and not less.
    let connections = opened();
    let reused = count("mfn_connections_reused_total{endpoint=\"probe\"}");
    assert!(reused >= 4 * (connections - 1), "{reused} of {connections} connections");
    assert!(*accepted.lock().unwrap() >= connections);
    assert_eq!(count("mfn_connector_polls_total{connector=\"probe\",outcome=\"failed\"}"), 0);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_growing_file_drives_the_field_through_bad_lines_rotation_and_a_restart() {
    let scratch = Scratch::new("follow");
    let (address, world) = world((404, ""));
    let file = scratch.0.join("probe.csv");
    let config = format!(
        "{CALM}[[webhooks]]\nname = \"hub\"\nurl = \"http://{address}/hook\"\nlinger_ms = 1\nspread_ms = 0\n\
        [[connectors]]\nname = \"probe\"\nkind = \"file\"\npath = {file:?}\ninterval_ms = 10\n\
        [[inputs]]\nname = \"soil.mv\"\nconnector = \"probe\"\npointer = \"/mv\"\nrow = 12\ncol = 3\ngain = 0.001\n"
    );
    let append = |text: &str| {
        let mut log = OpenOptions::new().create(true).append(true).open(&file).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    };
    append("time,mv\n1,900\n");
    let values = |daemon: &Daemon| {
        let text = health(daemon);
        let values = text.split("\"values\":").nth(1).unwrap();
        values.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    let daemon = Daemon::start(&scratch.0, &config);
    wait_for("the file to be open", || health(&daemon).contains("\"last_success\":\"").then_some(()));
    assert_eq!(values(&daemon), 0, "what was there before is not news");
    append("2,50\nnot,a number\n\"open quote\n3,60\n");
    wait_for("two values", || (values(&daemon) == 2).then_some(()));
    wait_for("the cell to be driven", || {
        append("4,50\n");
        is_driven(&daemon, 12, 3).then_some(())
    });
    let record = wait_for("a record", || recorded(&world, "soil.mv"));
    assert!(record.contains("\"min\":50.0"), "{record}");
    let text = health(&daemon);
    assert!(text.contains("\"kind\":\"file\"") && text.contains("\"rejected\":2,"), "{text}");
    assert!(text.contains("the line at byte"), "{text}");

    fs::rename(&file, scratch.0.join("probe.csv.1")).unwrap();
    fs::write(&file, "mv,time\n777,9\n").unwrap();
    wait_for("the new file with its own header", || {
        health(&daemon).contains("\"value\":777.0").then_some(())
    });
    assert_eq!(daemon.stop().code(), Some(0));

    append("888,10\n");
    let daemon = Daemon::start(&scratch.0, &config);
    wait_for("what came while it was off", || health(&daemon).contains("\"value\":888.0").then_some(()));
    assert_eq!(values(&daemon), 1, "and nothing twice");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_directory_of_json_files_is_read_and_a_bad_file_holds_up_nobody() {
    let scratch = Scratch::new("spool");
    let spool = scratch.0.join("spool");
    fs::create_dir(&spool).unwrap();
    let config = format!(
        "{CALM}[[connectors]]\nname = \"drops\"\nkind = \"file\"\nformat = \"json\"\npath = {spool:?}\ninterval_ms = 10\nstart = \"begin\"\n\
        [[inputs]]\nname = \"ph\"\nconnector = \"drops\"\npointer = \"/ph\"\n"
    );
    fs::write(spool.join("1.json"), "{\"ph\":").unwrap();
    fs::write(spool.join("2.json"), "{\"ph\":6.5}").unwrap();
    let daemon = Daemon::start(&scratch.0, &config);
    wait_for("the good file", || health(&daemon).contains("\"value\":6.5").then_some(()));
    wait_for("the bad one to be named", || health(&daemon).contains("1.json: ").then_some(()));
    // Some more looks: a file that is bad is so once.
    let polls = || {
        let text = daemon.ask("GET", "/metrics", &[], "").text().to_owned();
        let line = text
            .lines()
            .find(|l| l.starts_with("mfn_connector_polls_total{connector=\"drops\",outcome=\"ok\""))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = polls();
    wait_for("five more looks", || (polls() > before + 5).then_some(()));
    assert!(health(&daemon).contains("\"rejected\":1,"), "{}", health(&daemon));
    fs::write(spool.join("1.json"), "{\"ph\":7.25}").unwrap();
    wait_for("the corrected file", || health(&daemon).contains("\"value\":7.25").then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn files_of_a_directory_go_away_once_they_have_been_read() {
    let scratch = Scratch::new("cleared");
    let spool = scratch.0.join("spool");
    fs::create_dir(&spool).unwrap();
    let config = format!(
        "{CALM}[[connectors]]\nname = \"drops\"\nkind = \"file\"\nformat = \"json\"\npath = {spool:?}\ninterval_ms = 10\nstart = \"begin\"\n\
        done = \"delete\"\n[[inputs]]\nname = \"ph\"\nconnector = \"drops\"\npointer = \"/ph\"\n"
    );
    // More than can be remembered, and than a step takes.
    for k in 0..1_100 {
        fs::write(spool.join(format!("{k}.json")), "{\"ph\":6.5}").unwrap();
    }
    fs::write(spool.join("bad.json"), "{\"ph\":").unwrap();
    fs::write(spool.join("other.json"), "{\"temperature\":20}").unwrap();
    let daemon = Daemon::start(&scratch.0, &config);
    let left = |of: &Path| fs::read_dir(of).unwrap().count();
    wait_for("the directory to be empty", || (left(&spool) == 1).then_some(()));
    assert_eq!(left(&spool.join("rejected")), 2);
    wait_for("all values", || health(&daemon).contains("\"values\":1100,").then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Mutant seen red: a reload that hands the connectors nothing.
#[test]
fn a_reload_moves_a_sensor_its_breaker_can_be_held_open_and_one_that_hangs_does_not_hold_up_the_stop() {
    let scratch = Scratch::new("moved");
    let (first, _) = world((200, "{\"x\":1}"));
    let (second, _) = world((200, "{\"x\":2}"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = |address: SocketAddr| {
        format!(
            "{CALM}[[connectors]]\nname = \"probe\"\nkind = \"http\"\nurl = \"http://{address}/\"\ninterval_ms = 10\ntimeout_ms = 120000\n\
            [[inputs]]\nname = \"x\"\nconnector = \"probe\"\npointer = \"/x\"\n"
        )
    };
    let daemon = Daemon::start(&scratch.0, &config(first));
    let reload = |text: &str| {
        fs::write(scratch.0.join("edge.toml"), text).unwrap();
        daemon.signal("HUP");
    };
    wait_for("the first sensor", || health(&daemon).contains("\"value\":1.0").then_some(()));
    reload(&config(second));
    wait_for("the second sensor", || health(&daemon).contains("\"value\":2.0").then_some(()));
    reload(&config(second).replace("interval_ms = 10", "interval_ms = 20"));
    let message = "`connectors` has changed; restart to apply it";
    wait_for("what takes a restart is said", || daemon.log().contains(message).then_some(()));

    let set = |state: &str| {
        let headers = [("X-API-Key", daemon.key.as_str()), ("Content-Type", "application/json")];
        let body = format!("{{\"state\":\"{state}\"}}");
        daemon.ask("PUT", "/v1/endpoints/probe/breaker", &headers, &body).status
    };
    assert_eq!(set("open"), 200);
    wait_for("held open", || {
        health(&daemon).contains("\"breaker\":\"open\",\"mode\":\"open\"").then_some(())
    });
    assert_eq!(set("auto"), 200);
    wait_for("its own again", || {
        health(&daemon).contains("\"breaker\":\"closed\",\"mode\":\"auto\"").then_some(())
    });

    reload(&config(silent.local_addr().unwrap()));
    // Held until the daemon has gone: it waits for an answer that never comes.
    let hung = silent.accept().unwrap();
    let asked = std::time::Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "far below the time-out of two minutes");
    drop(hung);
}

/// What is written instead of what, and what must be said about it: place, key, value, remedy.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "kind = \"http\"",
        "kind = \"mqtt\"",
        &["bad.toml:3", "connectors[0].kind", "\"mqtt\"", "one of http, file"],
    ),
    ("url = \"http://127.0.0.1:1/\"", "", &["bad.toml:1", "connectors[0].url` is missing"]),
    (
        "url = \"http://127.0.0.1:1/\"",
        "url = \"ftp://h/\"",
        &["bad.toml:4", "connectors[0].url", "begins with http"],
    ),
    (
        "kind = \"http\"",
        "kind = \"http\"\npath = \"/x\"",
        &["bad.toml:4", "connectors[0].path", "only for kind = \"file\""],
    ),
    (
        "kind = \"http\"",
        "kind = \"file\"\npath = \"/x\"",
        &["bad.toml:5", "connectors[0].url", "only for kind = \"http\""],
    ),
    (
        "kind = \"http\"\nurl = \"http://127.0.0.1:1/\"",
        "kind = \"file\"",
        &["bad.toml:1", "connectors[0].path` is missing"],
    ),
    (
        "kind = \"http\"\nurl = \"http://127.0.0.1:1/\"",
        "kind = \"file\"\npath = \"/x.csv\"\ndone = \"move\"",
        &["bad.toml:5", "connectors[0].done", "only for format = \"json\""],
    ),
    ("name = \"a\"", "name = \"a b\"", &["bad.toml:2", "connectors[0].name", "1 to 64 characters"]),
    (
        "kind = \"http\"",
        "kind = \"http\"\ninterval_ms = 1",
        &["bad.toml:4", "interval_ms", "from 10 to 86400000"],
    ),
    (
        "kind = \"http\"",
        "kind = \"http\"\nheaders = { Host = \"x\" }",
        &["bad.toml:4", "headers.Host", "left out"],
    ),
    (
        "connector = \"a\"",
        "connector = \"b\"",
        &["bad.toml:7", "inputs[0].connector", "\"b\"", "[[connectors]]"],
    ),
    (
        "connector = \"a\"",
        "connector = \"b\"",
        &["bad.toml:1", "connectors[0]", "no input", "add an [[inputs]]"],
    ),
    ("pointer = \"/x\"", "pointer = \"x\"", &["bad.toml:8", "inputs[0].pointer", "\"x\"", "JSON pointer"]),
    ("pointer = \"/x\"", "", &["bad.toml:5", "inputs[0].pointer` is missing"]),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\nrow = 64\ncol = 0",
        &["bad.toml:9", "inputs[0].row", "64", "below `sim.grid`"],
    ),
    ("pointer = \"/x\"", "pointer = \"/x\"\nrow = 1", &["bad.toml:5", "both `row` and `col`"]),
    ("pointer = \"/x\"", "pointer = \"/x\"\ngain = 2.0", &["bad.toml:5", "row, col, gain and offset"]),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\nrow = 1\ncol = 1\ngain = \"much\"",
        &["bad.toml:11", "inputs[0].gain", "number"],
    ),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\n[[inputs]]\nname = \"x\"\nconnector = \"a\"\npointer = \"/y\"",
        &["bad.toml:10", "inputs[1].name", "no other input"],
    ),
    (
        "kind = \"http\"",
        "kind = \"serial\"",
        &["bad.toml:4", "connectors[0].url", "only for kind = \"http\"", "remove it"],
    ),
    (
        "kind = \"http\"\nurl = \"http://127.0.0.1:1/\"",
        "kind = \"value\"\npath = \"/x\"",
        &["bad.toml:5", "inputs[0].pointer", "not for kind = \"value\"", "remove it"],
    ),
    (
        "kind = \"http\"\nurl = \"http://127.0.0.1:1/\"",
        "kind = \"serial\"\npath = \"/x\"\ninterval_ms = 10",
        &["connectors[0].interval_ms", "only for kind = \"http\" or \"file\" or \"value\""],
    ),
    (
        "kind = \"http\"\nurl = \"http://127.0.0.1:1/\"",
        "kind = \"serial\"\npath = \"/x\"\nbaud = 1",
        &["connectors[0].baud", "from 50 to 4000000"],
    ),
    (
        "[[inputs]]",
        "[[webhooks]]\nname = \"a\"\nurl = \"http://h/\"\n[[inputs]]",
        &["bad.toml:2", "connectors[0].name", "no endpoint"],
    ),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\ncolour = \"red\"",
        &["bad.toml:9", "inputs[0].colour", "unknown key"],
    ),
    ("pointer = \"/x\"", "pointer = \"/x\"\nspikes = 1", &["bad.toml:9", "inputs[0].spikes", "a table"]),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\n[inputs.spikes]\nthreshold = \"mad\"",
        &["bad.toml:10", "inputs[0].spikes.threshold", "20mad"],
    ),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\n[inputs.spikes]\nwidth = 1",
        &["bad.toml:10", "inputs[0].spikes.width", "unknown key"],
    ),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\nlow = 2\nhigh = 1.0",
        &["bad.toml:9", "inputs[0].low", "below `high`"],
    ),
    (
        "pointer = \"/x\"",
        "pointer = \"/x\"\nperiods_s = [60, 0]",
        &["bad.toml:9", "inputs[0].periods_s", "at most 4"],
    ),
    ("pointer = \"/x\"", "pointer = \"/x\"\nscale = 0", &["inputs[0].scale", "every sample is the same"]),
    (
        "kind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n[[inputs]]\nname = \"x\"\nconnector = \"a\"\npointer = \"/x\"",
        "kind = \"value\"\npath = \"/x\"\n[[inputs]]\nname = \"x\"\nconnector = \"a\"\ntime_pointer = \"/t\"",
        &["inputs[0].time_pointer", "not for kind = \"value\""],
    ),
];

#[test]
fn every_mistake_in_connectors_and_inputs_is_named_with_line_value_and_remedy() {
    let scratch = Scratch::new("mistakes");
    let good = "[[connectors]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
        [[inputs]]\nname = \"x\"\nconnector = \"a\"\npointer = \"/x\"\n";
    let check = |text: &str| {
        let file = scratch.0.join("bad.toml");
        fs::write(&file, text).unwrap();
        let output = binary().args(["check", "--config"]).arg(&file).output().unwrap();
        let message =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), message)
    };
    let (code, message) = check(good);
    assert_eq!(code, Some(0), "{message}");
    for (from, to, parts) in MISTAKES {
        assert!(good.contains(from), "{from}");
        let (code, message) = check(&good.replacen(from, to, 1));
        assert_eq!(code, Some(78), "{to}: {message}");
        let line = message.lines().find(|line| parts.iter().all(|part| line.contains(part)));
        assert!(line.is_some(), "no line with {parts:?} for {to}: {message}");
    }
    let many: String = (0..9)
        .map(|k| good.replace("\"a\"", &format!("\"a{k}\"")).replace("\"x\"", &format!("\"x{k}\"")))
        .collect();
    assert!(check(&many).1.contains("at most 8 entries"));
}

/// One value of `GET /v1/health/connectors`, as text.
fn health_of(daemon: &Daemon, list: &str, key: &str) -> Option<String> {
    let text = health(daemon);
    let (_, rest) = text.split_once(&format!("\"{list}\":["))?;
    let (_, value) = rest.split_once(&format!("\"{key}\":"))?;
    Some(value.split([',', '}']).next()?.trim_matches('"').to_owned())
}

#[test]
fn a_file_with_one_number_is_read_again_and_again_and_may_hold_nonsense_or_vanish() {
    let scratch = Scratch::new("value");
    let file = scratch.0.join("in_voltage0_raw");
    fs::write(&file, "1200\n").unwrap();
    let config = format!(
        "{CALM}[[connectors]]\nname = \"adc\"\nkind = \"value\"\npath = {file:?}\ninterval_ms = 10\n\
        [[inputs]]\nname = \"fungus.mv\"\nconnector = \"adc\"\n"
    );
    let daemon = Daemon::start(&scratch.0, &config);
    let value = |want: &'static str| {
        wait_for(want, || (health_of(&daemon, "inputs", "value").as_deref() == Some(want)).then_some(()));
    };
    value("1200.0");
    fs::write(&file, "1234.5").unwrap();
    value("1234.5");
    fs::write(&file, "x".repeat(5000)).unwrap();
    let rejected = |want: &'static str| {
        wait_for(want, || health(&daemon).contains(want).then_some(()));
    };
    rejected("\"last_rejected\":\"the file: longer than 4096 bytes\"");
    fs::write(&file, "offline").unwrap();
    rejected("\"last_rejected\":\"the file: it holds no finite number alone\"");
    value("1234.5");
    fs::remove_file(&file).unwrap();
    rejected("\"last_error\":\"No such file or directory");
    fs::write(&file, "7\n").unwrap();
    value("7.0");
    rejected("\"last_error\":null");
}

/// A terminal whose other end stands for a device on USB.
fn plugged(path: &Path) -> fs::File {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let _ = fs::remove_file(path);
    std::os::unix::fs::symlink(name, path).unwrap();
    master.into()
}

/// Mutants seen red: the device is kept after it is gone; a header is read only as the first line.
#[test]
fn a_serial_device_is_read_line_by_line_and_opened_again_after_it_was_unplugged() {
    let scratch = Scratch::new("serial");
    let path = scratch.0.join("ttyUSB0");
    let config = format!(
        "{CALM}[[connectors]]\nname = \"board\"\nkind = \"serial\"\npath = {path:?}\nbaud = 115200\n\
        [[inputs]]\nname = \"probe\"\nconnector = \"board\"\npointer = \"/mv\"\n"
    );
    let mut device = plugged(&path);
    let daemon = Daemon::start(&scratch.0, &config);
    let sends = |device: &mut fs::File, lines: &str, want: &'static str| {
        wait_for(want, || {
            device.write_all(lines.as_bytes()).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
            (health_of(&daemon, "inputs", "value").as_deref() == Some(want)).then_some(())
        });
    };
    sends(&mut device, "cut\r\ntime,mv\r\n1,2.5\r\n", "2.5");
    sends(&mut device, "mv,time\r\n3.5,2\r\n", "3.5");
    sends(&mut device, "overload,overload\n4.5,3\n", "4.5");
    wait_for("a line of words to be counted", || {
        let rejected = "input probe: the value at its pointer is not a finite number";
        health(&daemon).contains(rejected).then_some(())
    });
    drop(device);
    wait_for("the device to be missed", || {
        let error = health_of(&daemon, "items", "last_error");
        error.is_some_and(|error| error != "null").then_some(())
    });
    let mut device = plugged(&path);
    sends(&mut device, "cut\nmv\n5.5\n", "5.5");
    assert_eq!(health_of(&daemon, "items", "kind").as_deref(), Some("serial"));
    drop(device);
    assert!(daemon.stop().success(), "a device that is gone does not hold up the end");
}

//! The real binary over real sockets: start, poll, refuse, reload, stop.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::support::process::{Daemon, PATIENCE, Scratch, binary, read_answer, wait_for};

/// Steps every millisecond, so that tests need not wait for anything.
const FAST: &str = "[sim]\ntick_ms = 1\ngrid = 32\nseed = 1\n[features]\nevery = 5\n[api.rate]\nper_second = 100000\nburst = 100000\nunauthenticated_per_second = 100000\nunauthenticated_burst = 100000\n";

/// The number behind `"key":` in a flat piece of JSON.
fn number(json: &str, key: &str) -> f64 {
    let marker = format!("\"{key}\":");
    let at = json.find(&marker).unwrap_or_else(|| panic!("no {key} in {json}")) + marker.len();
    let end = json[at..].find([',', '}', ']']).unwrap() + at;
    json[at..end].parse().unwrap_or_else(|_| panic!("{key} is no number in {json}"))
}

#[test]
fn a_first_start_in_an_empty_directory_serves_features_that_change_and_stops_on_ctrl_c() {
    let scratch = Scratch::new("first");
    let daemon = Daemon::start(&scratch.0, FAST);
    assert_eq!(daemon.ask("GET", "/healthz", &[], "").status, 200);
    assert_eq!(daemon.ask("GET", "/readyz", &[], "").status, 200);

    let mode = fs::metadata(daemon.data.join("api.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the key is for its owner only");
    assert!(daemon.key.starts_with("myc_"), "{}", daemon.key);
    assert!(!daemon.log().contains(&daemon.key), "no key in any log");

    let refused = daemon.ask("GET", "/v1/features", &[], "");
    assert_eq!(refused.status, 401);
    assert!(refused.header("WWW-Authenticate").is_some());
    assert_eq!(refused.header("Content-Type"), Some("application/problem+json"));
    let wrong = daemon.ask("GET", "/v1/features", &[("X-API-Key", "myc_wrong")], "");
    assert_eq!(wrong.status, 401);

    let first = wait_for("a first feature record", || {
        let answer = daemon.get("/v1/features");
        (answer.status == 200 && answer.text().contains("\"D_box\"")).then_some(answer)
    });
    let next = number(first.text(), "next");
    let later = daemon.get(&format!("/v1/features?since={next}&wait=10"));
    assert_eq!(later.status, 200);
    assert!(number(later.text(), "seq") > number(first.text(), "seq"));
    assert!(number(later.text(), "step") > number(first.text(), "step"));
    assert_ne!(number(later.text(), "V_mean"), number(first.text(), "V_mean"), "features change");

    let png = daemon.get("/v1/field?format=png");
    assert_eq!((png.status, png.header("Content-Type")), (200, Some("image/png")));
    assert!(png.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    let npy = daemon.get("/v1/field?format=npy");
    assert!(npy.body.starts_with(b"\x93NUMPY"));
    assert_eq!(npy.body.len() % 64, 32 * 32 * 4 % 64, "an aligned header, then 32 x 32 f32");

    daemon.signal("INT");
    let mut daemon = daemon;
    let asked = Instant::now();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "an orderly stop takes at most two seconds");
}

#[test]
fn sigterm_ends_with_zero_even_while_clients_hold_connections() {
    let scratch = Scratch::new("term");
    let daemon = Daemon::start(&scratch.0, FAST);
    let idle: Vec<_> = (0..8).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
    let mut half = TcpStream::connect(daemon.address).unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
    drop(idle);
}

/// Mutant seen red: the state directory is opened before the address is bound.
#[test]
fn a_start_on_a_used_port_leaves_nothing_behind_and_says_how_to_find_who_has_it() {
    let scratch = Scratch::new("port");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let data = scratch.0.join("data");
    let listen = format!("127.0.0.1:{port}");
    let output = binary().args(["run", "--listen", &listen, "--data-dir"]).arg(&data).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{text}");
    assert!(
        text.contains(&format!("cannot listen on {listen}")) && text.contains(&format!("sport = :{port}")),
        "{text}"
    );
    assert!(!data.exists(), "{text}");
}

#[test]
fn a_second_instance_on_the_same_directory_is_refused_by_name_of_directory_and_lock() {
    let scratch = Scratch::new("second");
    let daemon = Daemon::start(&scratch.0, FAST);
    let second =
        binary().args(["run", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&daemon.data).output().unwrap();
    assert!(!second.status.success());
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains(daemon.data.to_str().unwrap()) && text.contains("lock"), "{text}");
    assert_eq!(daemon.ask("GET", "/healthz", &[], "").status, 200, "the first one goes on");
}

#[test]
fn a_bad_configuration_ends_with_78_and_names_every_mistake_with_its_line() {
    let scratch = Scratch::new("config");
    let file = scratch.0.join("bad.toml");
    fs::write(&file, "[sim]\ngrid = 5\nalfa = 1\n[api.rate]\nburst = 0\n").unwrap();
    let output = binary().args(["run", "--config"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8(output.stderr).unwrap();
    for part in ["bad.toml:2", "sim.grid", "bad.toml:3", "alfa", "bad.toml:5", "api.rate.burst"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(!scratch.0.join("data").exists(), "nothing was made");
}

#[test]
fn listening_beyond_loopback_ends_with_78_and_the_remedy_unless_it_is_meant() {
    let scratch = Scratch::new("public");
    let run = |meant: bool| {
        let mut command = binary();
        command.args(["run", "--listen", "0.0.0.0:0", "--data-dir"]).arg(scratch.0.join("data"));
        if meant {
            command.env("MYCELIUMD_API__PUBLIC", "true");
        }
        command
    };
    let output = run(false).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("--listen: `api.listen` is 0.0.0.0:0") && text.contains("`api.public = true`"),
        "{text}"
    );
    assert!(!scratch.0.join("data").exists(), "nothing was made");
    let mut child = run(true).stderr(std::process::Stdio::null()).spawn().unwrap();
    let address = wait_for("the address file", || fs::read_to_string(scratch.0.join("data/address")).ok());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(address.starts_with("0.0.0.0:"), "{address}");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_refused_with_the_remedy() {
    let scratch = Scratch::new("nodir");
    let file = scratch.0.join("file");
    fs::write(&file, "").unwrap();
    let output = binary()
        .args(["run", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(file.join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert!(String::from_utf8(output.stderr).unwrap().contains("data"));
}

#[test]
fn the_field_keeps_answering_while_a_long_simulation_runs() {
    let scratch = Scratch::new("simulate");
    let daemon = Daemon::start(&scratch.0, FAST);
    let address = daemon.address;
    let key = daemon.key.clone();
    let long = std::thread::spawn(move || {
        let body = r#"{"seed":1,"grid_size":256,"steps":4096}"#;
        let headers = [("X-API-Key", key.as_str()), ("Content-Type", "application/json")];
        crate::support::process::ask(address, "POST", "/v1/simulate", &headers, body)
    });
    let mut served = 0;
    while !long.is_finished() {
        assert_eq!(daemon.ask("GET", "/healthz", &[], "").status, 200);
        served += 1;
    }
    let answer = long.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    for key in ["growth_events", "pot_min_mV", "pot_max_mV", "pot_mean_mV", "pot_std_mV", "fractal_dimension"]
    {
        number(answer.text(), key);
    }
    assert!(served > 10, "only {served} health checks got through meanwhile");
    let refused = daemon.post("/v1/simulate", r#"{"seed":1,"grid_size":512,"steps":100000}"#);
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[test]
fn nernst_over_http_agrees_with_the_command_line() {
    let scratch = Scratch::new("nernst");
    let daemon = Daemon::start(&scratch.0, FAST);
    let body = r#"{"z_valence":1,"concentration_out_molar":0.005,"concentration_in_molar":0.14,"temperature_k":310.0}"#;
    let http = number(daemon.post("/v1/nernst", body).text(), "potential_mV");
    let cli = binary().args(["nernst", "--z", "1", "--out", "0.005", "--in", "0.14"]).output().unwrap();
    let cli = number(&String::from_utf8(cli.stdout).unwrap(), "potential_mV");
    assert_eq!(http, cli);
    assert!((http + 89.010_669_119_879_07).abs() < 1e-9, "{http}");
}

#[test]
fn bad_requests_get_a_problem_and_change_nothing() {
    let scratch = Scratch::new("bad");
    let daemon = Daemon::start(&scratch.0, FAST);
    let rows = [
        ("POST", "/v1/nernst", r#"{"z":["#, 400, "a derived parser would loop for ever"),
        ("POST", "/v1/nernst", r#"{"z":}"#, 400, "a derived parser would panic"),
        ("POST", "/v1/nernst", r#"{"z_valence":1,"z_valence":2}"#, 400, "repeated key"),
        ("POST", "/v1/simulate", r#"{"alpha":0.25}"#, 422, "the limit of stability"),
        ("POST", "/v1/simulate", r#"{"nonsense":1}"#, 400, "unknown key"),
        ("GET", "/v1/features?since=-1", "", 400, "negative"),
        ("GET", "/v1/features?limit=0", "", 400, "nothing asked for"),
        ("GET", "/v1/field?format=bmp", "", 400, "unknown format"),
        ("GET", "/v1/field?step=99999999", "", 404, "a frame of the future"),
        ("GET", "/nowhere", "", 404, "unknown route"),
        ("DELETE", "/v1/features", "", 405, "known route, other method"),
    ];
    for (method, target, body, status, why) in rows {
        let headers = [("X-API-Key", daemon.key.as_str()), ("Content-Type", "application/json")];
        let answer = daemon.ask(method, target, &headers, body);
        let accepted = answer.status == status || (status == 400 && answer.status == 422);
        assert!(accepted, "{why}: {method} {target} {body} -> {} {}", answer.status, answer.text());
        assert_eq!(answer.header("Content-Type"), Some("application/problem+json"), "{why}");
        assert!(answer.text().contains("request_id"), "{why}");
    }
    assert_eq!(daemon.ask("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn one_connection_serves_many_requests_and_head_has_no_body() {
    let scratch = Scratch::new("keepalive");
    let daemon = Daemon::start(&scratch.0, FAST);
    let stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    for method in ["GET", "HEAD", "GET"] {
        writer.write_all(format!("{method} /healthz HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let answer = read_answer(&mut reader, method);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.is_empty(), method == "HEAD");
        assert!(answer.header("X-Request-Id").is_some());
    }
}

#[test]
fn sighup_takes_new_keys_and_rates_and_keeps_the_field_running() {
    let scratch = Scratch::new("reload");
    let key_file = scratch.0.join("polling.key");
    fs::write(&key_file, "myc_first-key-of-the-poller-0000000000000000000").unwrap();
    let config =
        format!("{FAST}[[api.keys]]\nname = \"poller\"\nscope = \"read\"\nkey_file = {key_file:?}\n");
    let daemon = Daemon::start(&scratch.0, &config);
    let status = |key: &str| daemon.ask("GET", "/v1/status", &[("X-API-Key", key)], "").status;
    assert_eq!(status("myc_first-key-of-the-poller-0000000000000000000"), 200);
    let before = number(
        daemon
            .ask("GET", "/v1/status", &[("X-API-Key", "myc_first-key-of-the-poller-0000000000000000000")], "")
            .text(),
        "step",
    );
    fs::write(&key_file, "myc_second-key-of-the-poller-000000000000000000").unwrap();
    daemon.signal("HUP");
    wait_for("the new key", || {
        (status("myc_second-key-of-the-poller-000000000000000000") == 200).then_some(())
    });
    assert_eq!(status("myc_first-key-of-the-poller-0000000000000000000"), 401, "the old key is gone");
    let answer = daemon.ask(
        "GET",
        "/v1/status",
        &[("X-API-Key", "myc_second-key-of-the-poller-000000000000000000")],
        "",
    );
    assert!(number(answer.text(), "step") >= before, "the field was not restarted");
    let admin = daemon.ask(
        "POST",
        "/v1/outbox/flush",
        &[("X-API-Key", "myc_second-key-of-the-poller-000000000000000000")],
        "",
    );
    assert_eq!(admin.status, 403, "read is not admin");
}

#[test]
fn a_field_that_will_show_nothing_is_warned_about_at_the_start() {
    let scratch = Scratch::new("warned");
    let daemon = Daemon::start(&scratch.0, "[sim]\ngrid = 16\n");
    let log = daemon.log();
    assert!(log.contains("sim: spirals may die out: the grid has 16 cells"), "{log}");
    assert!(daemon.stop().success());
}

#[test]
fn the_same_seed_gives_the_same_field_over_a_restart() {
    let scratch = Scratch::new("seed");
    let frame = || {
        let daemon = Daemon::start(&scratch.0, FAST);
        let bytes = wait_for("step 5", || {
            let answer = daemon.get("/v1/field?format=npy&step=5");
            (answer.status == 200).then_some(answer.body)
        });
        assert_eq!(daemon.stop().code(), Some(0));
        bytes
    };
    assert_eq!(frame(), frame());
}

/// Seen red with the key not sent.
#[test]
fn health_verbose_shows_the_whole_state_with_the_daemons_own_key() {
    let scratch = Scratch::new("verbose");
    let hook = "[[webhooks]]\nname = \"cloud\"\nurl = \"http://127.0.0.1:9/\"\n";
    let daemon = Daemon::start(&scratch.0, &format!("{FAST}{hook}"));
    let ask = |more: &[&str]| {
        let mut command = binary();
        command.current_dir(&scratch.0).arg("health").arg(format!("http://{}", daemon.address)).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(ask(&[]), (Some(0), String::new()), "silent unless asked");
    let (code, text) = ask(&["--verbose"]);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "\"status\": \"ok\"",
        "\"uptime_seconds\": ",
        "\"outbox\": {",
        "\"name\": \"cloud\"",
        "\"breaker\": ",
    ] {
        assert!(text.lines().any(|shown| shown.trim_start().starts_with(line)), "{line} in {text}");
    }
    assert!(!text.contains(&daemon.key));
    let other = scratch.0.join("other.key");
    fs::write(&other, "myc_wrong\n").unwrap();
    let (code, text) = ask(&["-v", "--key-file", other.to_str().unwrap()]);
    assert_eq!(code, Some(0), "a wrong key says nothing about health");
    assert!(text.contains("\"status\": 401"), "{text}");
    assert!(daemon.stop().success());
}

/// A service manager of our own at the other end of `NOTIFY_SOCKET`.
/// Mutants seen red: no WATCHDOG, RELOADING without its time.
#[test]
fn the_service_manager_hears_of_start_progress_reload_and_stop() {
    let scratch = Scratch::new("notify");
    let path = scratch.0.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut text = [0; 4096];
        let n = manager.recv(&mut text).expect("a message within reason");
        String::from_utf8(text[..n].to_vec()).unwrap()
    };
    // Every message except heartbeats.
    let news = || std::iter::repeat_with(heard).find(|text| !text.contains("WATCHDOG=1")).unwrap();
    let began = Instant::now();
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let daemon = Daemon::start_with(&scratch.0, FAST, &env);
    let ready = format!("READY=1\nSTATUS=listening on http://{}\n", daemon.address);
    assert_eq!(heard(), ready);
    for _ in 0..5 {
        assert_eq!(heard(), "WATCHDOG=1\n");
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "every half of the time, not more often");
    daemon.signal("HUP");
    let text = news();
    let at = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{text}"));
    assert!(at.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(news(), ready, "after a reload");
    assert_eq!(heard(), "WATCHDOG=1\n", "and it goes on");
    daemon.signal("TERM");
    assert_eq!(news(), "STOPPING=1\n");
    let mut daemon = daemon;
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

/// Mutant seen red: the level not taken over by the reload.
#[test]
fn sighup_takes_another_log_level_and_the_old_one_again() {
    let scratch = Scratch::new("level");
    let config = |level: &str| format!("{FAST}[log]\nlevel = \"{level}\"\n");
    let daemon = Daemon::start(&scratch.0, &config("info"));
    let polls = || {
        daemon.ask("GET", "/healthz", &[], "");
        daemon.log().matches("GET /healthz 200").count()
    };
    let reload = |level: &str, times: usize| {
        fs::write(scratch.0.join("edge.toml"), config(level)).unwrap();
        daemon.signal("HUP");
        let reloads = || daemon.log().matches("configuration reloaded").count();
        wait_for("the reload", || (reloads() == times).then_some(()));
    };
    assert_eq!(polls(), 0);
    reload("debug", 1);
    wait_for("a line of a request", || (polls() > 0).then_some(()));
    reload("info", 2);
    // An answer is sent before its line is written: one of those before may still come.
    polls();
    let before = polls();
    assert_eq!((polls(), polls()), (before, before), "quiet again");
}

/// Mutants seen red: no audit line; reads are logged too.
#[test]
fn actions_of_keys_that_may_write_and_wrong_keys_are_logged_with_name_address_and_request_id() {
    for (masked, shown) in [("false", "127.0.0.1"), ("true", "127.0.0.0")] {
        let scratch = Scratch::new("audit");
        let daemon = Daemon::start(&scratch.0, &format!("{FAST}[api]\nmask_addresses = {masked}\n"));
        let ask = |method: &str, target: &str, key: &str, id: &str, body: &str| {
            let kind = ("Content-Type", "application/json");
            daemon.ask(method, target, &[("X-API-Key", key), ("X-Request-Id", id), kind], body).status
        };
        assert_eq!(ask("GET", "/v1/status", &daemon.key, "id-reads", ""), 200);
        assert_eq!(ask("POST", "/v1/outbox/flush", &daemon.key, "id-flushes", ""), 202);
        let open = r#"{"state":"open"}"#;
        assert_eq!(ask("PUT", "/v1/endpoints/nobody/breaker", &daemon.key, "id-breaks", open), 404);
        assert_eq!(ask("POST", "/v1/outbox/dead/replay", "myc_wrong", "id-guesses", ""), 401);
        assert_eq!(ask("POST", "/v1/outbox/dead/replay", "myc_wrong", "id-guesses", ""), 401);
        // More than one place in the code may warn within a minute.
        for n in 0..30 {
            // The queue of commands is short: 503 until there is room.
            let flush = || ask("POST", "/v1/outbox/flush", &daemon.key, &format!("id-many-{n}"), "") == 202;
            wait_for("room in the queue of commands", || flush().then_some(()));
        }
        wait_for("the log", || daemon.log().contains("wrong API key").then_some(()));
        let log = daemon.log();
        let line = |text: &str| {
            let found: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
            assert_eq!(found.len(), 1, "{text}: {log}");
            found[0].to_owned()
        };
        let many = log.lines().filter(|line| line.contains("id-many-")).count();
        assert_eq!(many, 30, "no action is left out: {log}");
        let flush = log.lines().find(|line| line.contains("id-flushes")).unwrap_or_default();
        assert!(
            flush.contains(&format!("POST /v1/outbox/flush (202) by the key first from {shown}")),
            "{log}"
        );
        line(&format!("PUT /v1/endpoints/nobody/breaker (404) by the key first from {shown}"));
        line(&format!("wrong API key from {shown}: 1 within a minute"));
        assert!(!log.contains("id-reads") && !log.contains("id-guesses") && !log.contains("myc_"), "{log}");
    }
}

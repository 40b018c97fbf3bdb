//! File, environment and options through `config::parse`: every error message has its place and what would be accepted.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mycelium_daemon::config::{self, ConfigOverride, LoadedConfig, Sources, keys};
use mycelium_daemon::delivery::{Endpoint, Webhook};

/// A file system with exactly these files.
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn webhook(loaded: &LoadedConfig) -> &Webhook {
    let Endpoint::Webhook(webhook) = &loaded.config.endpoints[0] else { panic!("not a webhook") };
    webhook
}

fn load_with(
    text: &str,
    variables: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Result<LoadedConfig, Vec<String>> {
    let files = Files::new(files);
    let sources = Sources {
        file: Some(("edge.toml", text.as_bytes())),
        variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        overrides: Vec::new(),
        read: &|path| files.read(path),
    };
    config::parse(sources).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn load(text: &str) -> Result<LoadedConfig, Vec<String>> {
    load_with(text, &[], &[])
}

fn problems(text: &str) -> Vec<String> {
    load(text).err().unwrap_or_default()
}

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn an_empty_file_is_a_valid_configuration_with_the_documented_defaults() {
    let config = load("").unwrap().config;
    assert_eq!(config.sim.grid, 64);
    assert_eq!(config.sim.model.name(), "excitable");
    assert_eq!(config.tick.as_millis(), 100);
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8600");
    assert_eq!((config.rate.per_second, config.rate.burst), (20, 40));
    assert_eq!(config.memory_max_bytes, 10 << 20);
    assert_eq!((config.seed, config.device, config.trace.otlp_url), (None, None, None));
    assert_eq!((config.every, config.window_steps, config.frames), (10, 600, 64));
    assert!(config.profile.torus, "a periodic field is a torus");
}

#[test]
fn each_refusal_names_file_line_key_value_and_what_would_be_accepted() {
    let rows = [
        (
            "[sim]\ngrid = 7",
            "edge.toml:2: `sim.grid` is 7; it must be a whole number from 8 to 512",
            "too small",
        ),
        (
            "sim.grid = 513",
            "edge.toml:1: `sim.grid` is 513; it must be a whole number from 8 to 512",
            "too large",
        ),
        (
            "sim.grid = 64.0",
            "edge.toml:1: `sim.grid` is 64; it must be a whole number from 8 to 512",
            "no integer",
        ),
        (
            "sim.grid = \"64\"",
            "edge.toml:1: `sim.grid` is \"64\"; it must be a whole number from 8 to 512",
            "a string",
        ),
        (
            "sim.alpha = 0.25",
            "edge.toml:1: `sim.alpha` is 0.25; it must be a number above 0 and below 0.25",
            "at the limit of stability",
        ),
        (
            "sim.alpha = nan",
            "edge.toml:1: `sim.alpha` is NaN; it must be a number above 0 and below 0.25",
            "NaN is no number",
        ),
        (
            "sim.model = \"life\"",
            "edge.toml:1: `sim.model` is \"life\"; it must be one of mfn, turing, excitable, gray_scott",
            "unknown model",
        ),
        ("sim = 1", "edge.toml:1: `sim` is an integer; it must be a table", "a table is expected"),
        (
            "sim.grid = [1]",
            "edge.toml:1: `sim.grid` is an array; it must be a whole number from 8 to 512",
            "array",
        ),
        (
            "[api.rate]\n\nburst = 0",
            "edge.toml:3: `api.rate.burst` is 0; it must be a whole number from 1 to 1000000000",
            "no request would get in",
        ),
        (
            "[api]\nlisten = \"localhost\"",
            "edge.toml:2: `api.listen` is \"localhost\"; it must be ADDRESS:PORT such as 127.0.0.1:8600 or [::]:8600",
            "no port",
        ),
        ("sim.gird = 64", "edge.toml:1: unknown key `sim.gird`; did you mean `sim.grid`?", "typing error"),
        ("grid = 64", "edge.toml:1: unknown key `grid`; did you mean `sim.grid`?", "table forgotten"),
        (
            "[colour]\nred = 1",
            "edge.toml:1: unknown key `colour`; docs/CONFIG.md lists all keys",
            "unrelated to any key",
        ),
        (
            "[[webhooks]]\nname=\"a\"\nurll=\"http://x\"",
            "edge.toml:3: unknown key `webhooks[0].urll`; did you mean `webhooks.url`?",
            "typing error in a list",
        ),
        (
            "webhooks = 3",
            "edge.toml:1: `webhooks` is an integer; it must be an array of tables, each starting with [[webhooks]]",
            "a list is expected",
        ),
        (
            "[api]\nmax_connections = 4\nmax_per_ip = 5",
            "edge.toml:3: `api.max_per_ip` is 5; it must be at most `api.max_connections`, which is 4",
            "keys that do not fit together",
        ),
        (
            "[breaker]\nopen_ms = 1000000",
            "edge.toml:2: `breaker.open_max_ms` is 900000; it must be at least `open_ms`, which is 1000000",
            "against a default",
        ),
        (
            "[[api.keys]]\nscope=\"read\"\nname=\"a\"",
            "edge.toml:1: `api.keys[0]` has neither of `sha256` and `key_file`; it must have exactly one of them",
            "a key without a key",
        ),
    ];
    for (text, want, why) in rows {
        let found = problems(text);
        assert!(found.iter().any(|problem| problem == want), "{why}\nwant {want}\ngot  {found:#?}");
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_lines() {
    let text =
        "[sim]\ngrid = 1\nmodel = \"x\"\nfoo = 1\n[api]\nlisten = 5\n[[webhooks]]\nurl = \"ftp://x\"\n";
    let found = problems(text);
    let lines: Vec<usize> = found.iter().map(|p| p.split(':').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 6, 7, 8], "{found:#?}");
}

#[test]
fn text_that_is_not_toml_is_refused_with_line_and_column() {
    let rows: [(&[u8], &str, &str); 5] = [
        (b"[sim]\ngrid = = 3", "edge.toml:2: column 8", "syntax"),
        (b"[sim]\n[sim]\n", "edge.toml:2: column", "a table twice"),
        (b"sim.grid = 1\nsim.grid = 2\n", "edge.toml:2: column", "a key twice"),
        (b"a = \"\xff\"", "edge.toml:1: not UTF-8", "not UTF-8"),
        (b"x = 1979-05-27", "edge.toml:1: column", "dates are not known"),
    ];
    for (bytes, want, why) in rows {
        let sources = Sources {
            file: Some(("edge.toml", bytes)),
            variables: Vec::new(),
            overrides: Vec::new(),
            read: &|_| Err(io::ErrorKind::NotFound.into()),
        };
        let found = config::parse(sources).unwrap_err();
        assert!(found[0].to_string().starts_with(want), "{why}: {}", found[0]);
    }
}

#[test]
fn a_file_over_256_kib_is_refused_by_its_size_and_one_just_below_is_read() {
    let fitting = "#".repeat(256 * 1024);
    assert!(load(&fitting).is_ok());
    let found = problems(&format!("{fitting}#"));
    assert_eq!(found, ["edge.toml:1: the file has more than 262144 bytes; it must be smaller"]);
}

#[test]
fn the_environment_wins_over_the_file_and_an_option_over_both() {
    let load = |overrides| {
        config::parse(Sources {
            file: Some(("edge.toml", b"sim.grid = 16\napi.listen = \"127.0.0.1:1\"\nsim.tick_ms = 5")),
            variables: vec![
                ("MYCELIUMD_SIM__GRID".into(), "32".into()),
                ("MYCELIUMD_API__LISTEN".into(), "127.0.0.1:2".into()),
                ("MYCELIUMD_FEATURES__COMPAT".into(), "4.1".into()),
                ("PATH".into(), "/bin".into()),
            ],
            overrides,
            read: &|_| Err(io::ErrorKind::NotFound.into()),
        })
        .unwrap()
    };
    let loaded = load(vec![ConfigOverride {
        option: "--listen",
        key: keys::API_LISTEN.spec(),
        text: "127.0.0.1:3".to_owned(),
    }]);
    assert_eq!(loaded.config.sim.grid, 32);
    assert_eq!(loaded.config.tick.as_millis(), 5);
    assert_eq!(loaded.config.api.listen.port(), 3);
    let shown = loaded.describe();
    for line in ["# $MYCELIUMD_SIM__GRID", "# --listen", "# edge.toml:3", "# default"] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

/// Mutant seen red: `is_loopback` on the address as written, which takes `::ffff:127.0.0.1` for a foreign one.
#[test]
fn a_listener_that_other_machines_can_reach_must_be_confirmed() {
    let key = format!("[[api.keys]]\nname = \"a\"\nsha256 = \"{HEX}\"\n");
    let listen = |address: &str| format!("[api]\nlisten = \"{address}\"\n");
    let meant = |address: &str| format!("{}public = true\n", listen(address));
    let rows = [
        (listen("127.0.0.1:0"), true, "loopback"),
        (listen("127.8.9.10:80"), true, "the whole network of it"),
        (listen("[::1]:80"), true, "of IPv6"),
        (listen("[::ffff:127.0.0.1]:80"), true, "IPv4 in IPv6"),
        (listen("0.0.0.0:80"), false, "all addresses"),
        (listen("[::]:80"), false, "all of IPv6"),
        (listen("192.0.2.7:80"), false, "one of a network"),
        (listen("0.0.0.0:80") + &key, false, "with a key, which travels in the clear"),
        (listen("0.0.0.0:80") + TLS, false, "under TLS, but without a key"),
        (listen("0.0.0.0:80") + TLS + &key, true, "under TLS with a key"),
        (meant("0.0.0.0:80"), true, "meant"),
        (meant("[::]:80") + &key, true, "meant, with a key"),
    ];
    for (text, fits, why) in rows {
        let loaded = load_with(&text, &[], &[]);
        assert_eq!(loaded.is_ok(), fits, "{why}");
        if let Err(problems) = loaded {
            let text_of_problems = problems.join("\n");
            let no_key = text_of_problems.contains("no [[api.keys]] is configured");
            assert_eq!(no_key, !text.contains("api.keys"), "{why}: {text_of_problems}");
            assert!(
                text_of_problems.starts_with("edge.toml:2: `api.listen` is ")
                    && text_of_problems.contains("`api.public = true`"),
                "{text_of_problems}"
            );
        }
    }
    let found = load_with("", &[("MYCELIUMD_API__LISTEN", "0.0.0.0:8600")], &[]).unwrap_err();
    assert!(
        found[0].starts_with("$MYCELIUMD_API__LISTEN: `api.listen` is 0.0.0.0:8600; it must be"),
        "{found:?}"
    );
    load_with("", &[("MYCELIUMD_API__LISTEN", "0.0.0.0:8600"), ("MYCELIUMD_API__PUBLIC", "true")], &[])
        .unwrap();
}

const TLS: &str = "[api.tls]\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n";

#[test]
fn tls_and_two_connectors_fit_into_the_memory_of_the_defaults() {
    let connector = |k| {
        format!(
            "[[connectors]]\nname = \"c{k}\"\nkind = \"http\"\nurl = \"http://h/\"\n\
             [[inputs]]\nname = \"i{k}\"\nconnector = \"c{k}\"\npointer = \"/x\"\n"
        )
    };
    load(&format!("{TLS}{}{}", connector(0), connector(1))).unwrap();
}

#[test]
fn unknown_or_bad_variables_with_our_prefix_are_refused_by_name() {
    let rows = [
        (
            "MYCELIUMD_SIM__GIRD",
            "64",
            "$MYCELIUMD_SIM__GIRD: unknown variable; did you mean MYCELIUMD_SIM__GRID?",
        ),
        ("MYCELIUMD_", "1", "$MYCELIUMD_: unknown variable; docs/CONFIG.md lists all keys"),
        (
            "MYCELIUMD_SIM__GRID",
            "",
            "$MYCELIUMD_SIM__GRID: `sim.grid` is \"\"; it must be a whole number from 8 to 512",
        ),
        (
            "MYCELIUMD_SIM__GRID",
            "99999999999999999999",
            "$MYCELIUMD_SIM__GRID: `sim.grid` is \"99999999999999999999\"; it must be a whole number from 8 to 512",
        ),
        (
            "MYCELIUMD_API__METRICS_PUBLIC",
            "yes",
            "$MYCELIUMD_API__METRICS_PUBLIC: `api.metrics_public` is \"yes\"; it must be true or false",
        ),
        (
            "MYCELIUMD_SIM__ALPHA",
            "inf",
            "$MYCELIUMD_SIM__ALPHA: `sim.alpha` is inf; it must be a number above 0 and below 0.25",
        ),
        (
            "MYCELIUMD_WEBHOOKS__URL",
            "http://x",
            "$MYCELIUMD_WEBHOOKS__URL: unknown variable; docs/CONFIG.md lists all keys",
        ),
    ];
    for (name, text, want) in rows {
        let found = load_with("", &[(name, text)], &[]).unwrap_err();
        assert_eq!(found, [want]);
    }
}

#[test]
fn keys_and_secrets_come_from_files_and_from_the_credentials_directory() {
    let text = format!(
        "[[api.keys]]\nname=\"a\"\nscope=\"write\"\nkey_file=\"/keys/a\"\n[[api.keys]]\nname=\"b\"\nsha256=\"{HEX}\"\n\
         [[webhooks]]\nname=\"w\"\nurl=\"https://example.org/\"\nsecret_file=\"hook\"\n"
    );
    let key = "myc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let files = [("/keys/a", key), ("/run/cred/hook", secret), ("/run/cred/api.key", key)];
    let variables = [("CREDENTIALS_DIRECTORY", "/run/cred")];
    let loaded = load_with(&text, &variables, &files).unwrap();
    let names: Vec<_> = loaded.config.keys.iter().map(|key| (key.name.as_str(), key.scope.name())).collect();
    assert_eq!(names, [("credential", "admin"), ("a", "write"), ("b", "read")]);
    assert_eq!(loaded.config.keys[2].sha256[..3], [0xe3, 0xb0, 0xc4]);
    assert_eq!(loaded.config.keys[0].sha256, loaded.config.keys[1].sha256, "without the line end");
    assert_eq!(webhook(&loaded).secret.as_ref().unwrap().0.len(), 24);
}

#[test]
fn no_message_and_no_listing_ever_shows_a_secret() {
    let text = "[[webhooks]]\nname=\"w\"\nurl=\"http://x/\"\nsecret=\"whsec_SECRETTEXT\"\nheaders={Authorization=\"Bearer SECRETTEXT\"}\n";
    let found = problems(text).join("\n");
    assert!(found.contains("webhooks[0].secret") && !found.contains("SECRETTEXT"), "{found}");
    let good = text.replace("whsec_SECRETTEXT", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let loaded = load(&good).unwrap();
    for shown in [loaded.describe(), format!("{:?}", webhook(&loaded).secret)] {
        assert!(!shown.contains("MfKQ") && !shown.contains("SECRETTEXT"), "{shown}");
    }
    let wrong_type = problems("[[webhooks]]\nname=\"w\"\nurl=\"http://x/\"\nheaders=\"Bearer SECRETTEXT\"\n");
    assert!(!wrong_type.join("").contains("SECRETTEXT"), "{wrong_type:?}");
    let bad_file =
        load_with("[[api.keys]]\nname=\"k\"\nkey_file=\"/k\"\n", &[], &[("/k", "two words of SECRETTEXT")]);
    assert!(!bad_file.unwrap_err().join("").contains("SECRETTEXT"));
}

/// "Guessing is slow" was not so: what somebody has chosen could be guessed.
///
/// Mutant seen red: any text of 16 characters is accepted.
#[test]
fn a_text_that_was_not_generated_is_refused_as_a_key_in_a_file_and_as_a_credential() {
    let text = "[[api.keys]]\nname=\"k\"\nkey_file=\"/k\"\n";
    let found = load_with(text, &[], &[("/k", "correct-horse-battery-staple")]).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("a file made by `myceliumd key new`") && !found[0].contains("horse"),
        "{found:?}"
    );
    let variables = [("CREDENTIALS_DIRECTORY", "/run/cred")];
    let found =
        load_with("", &variables, &[("/run/cred/api.key", "correct-horse-battery-staple")]).unwrap_err();
    assert!(found[0].contains("`myceliumd key new`") && !found[0].contains("horse"), "{found:?}");
}

#[test]
fn lists_of_names_come_from_files_and_variables_and_are_checked() {
    let loaded = load_with(
        "[api]\nallowed_hosts = [\"edge.local\"]\n",
        &[("MYCELIUMD_API__ALLOWED_ORIGINS", "https://a.example, http://b.example:8080")],
        &[],
    );
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.api.names.hosts, ["edge.local"]);
    assert_eq!(loaded.config.api.names.origins, ["https://a.example", "http://b.example:8080"]);
    assert!(loaded.describe().contains("allowed_hosts = [\"edge.local\"]"), "{}", loaded.describe());
    for (key, value) in [
        ("allowed_hosts", "\"edge.local\""),
        ("allowed_hosts", "[\"edge.local:8600\"]"),
        ("allowed_hosts", "[1]"),
        ("allowed_origins", "[\"https://a.example/path\"]"),
        ("allowed_origins", "[\"a.example\"]"),
    ] {
        let found = problems(&format!("[api]\n{key} = {value}\n"));
        assert!(found.len() == 1 && found[0].contains(key) && found[0].contains("at most 16"), "{found:?}");
    }
}

/// Was accepted, and the larger scope won: a slip in a rotation made a reader an administrator.
#[test]
fn one_key_with_two_scopes_is_rejected() {
    let key = |name: &str, scope: &str, file: &str| {
        format!("[[api.keys]]\nname=\"{name}\"\nscope=\"{scope}\"\nkey_file=\"{file}\"\n")
    };
    let text = key("poll", "read", "/a") + &key("ops", "admin", "/b");
    let same = "myc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let another = "myc_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
    let files = |b: &'static str| [("/a", same), ("/b", b)];
    let found = load_with(&text, &[], &files(same)).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("edge.toml:5: `api.keys[1]` is the same key as that of \"poll\", with another"),
        "{found:?}"
    );
    assert!(load_with(&text, &[], &files(another)).is_ok());
}

#[test]
fn too_many_or_equal_names_are_refused() {
    let hook = |k: usize| format!("[[webhooks]]\nname=\"w{k}\"\nurl=\"http://x/\"\n");
    assert!(load(&(0..8).map(hook).collect::<String>()).is_ok());
    let nine: String = (0..9).map(hook).collect();
    assert_eq!(problems(&nine), ["edge.toml:1: `webhooks` is 9 entries; it must be at most 8 entries"]);
    let twice = problems(&format!("{}{}", hook(1), hook(1)));
    assert_eq!(
        twice,
        ["edge.toml:5: `webhooks[1].name` is \"w1\"; it must be a name that no other endpoint has"]
    );
}

#[test]
fn a_configuration_that_needs_more_memory_than_allowed_is_refused_with_both_numbers() {
    let found = problems("[memory]\nmax_bytes = 10485760\n[sim]\ngrid = 512\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("edge.toml:2: `memory.max_bytes` is 10485760; it must be at least "),
        "{}",
        found[0]
    );
    assert!(found[0].contains("for frames"), "{}", found[0]);
    let number = |text: &str| -> u64 {
        text.split("at least ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
    };
    let needed = number(&found[0]);
    let at = |bytes| format!("[memory]\nmax_bytes = {bytes}\n[sim]\ngrid = 512\n");
    assert!(load(&at(needed)).is_ok(), "what it asks for is enough");
    assert!(load(&at(needed - 1)).is_err());
}

#[test]
fn the_effective_configuration_reads_back_as_the_same_configuration() {
    let text = format!(
        "[sim]\nmodel=\"mfn\"\ngrid=32\nseed=7\n[features]\nthreshold=\"fixed:-60\"\nconnectivity=8\n\
         [[api.keys]]\nname=\"b\"\nsha256=\"{HEX}\"\n[[webhooks]]\nname=\"w\"\nurl=\"http://x/\"\ngzip=true\n"
    );
    let first = load(&text).unwrap();
    let again = load(&first.describe()).unwrap_or_else(|found| panic!("{found:#?}\n{}", first.describe()));
    assert_eq!(first.needs_restart(&again), Vec::<&str>::new());
    assert_eq!(again.config.sim, first.config.sim);
    assert_eq!(again.config.keys, first.config.keys);
}

#[test]
fn only_changed_keys_that_a_reload_does_not_apply_need_a_restart() {
    let old = load("").unwrap();
    let new = load("[sim]\ngrid=32\n[log]\nlevel=\"debug\"\n[api.rate]\nburst=7\n").unwrap();
    assert_eq!(old.needs_restart(&new), ["sim.grid"]);
}

#[test]
fn hostile_files_are_rejected_in_bounded_time_with_short_messages() {
    let rows = [
        ("[".repeat(200_000), "nested arrays of tables"),
        (format!("a = {}", "[".repeat(200_000)), "nested arrays"),
        ("a.".repeat(100_000) + "b = 1", "a deep dotted key"),
        (format!("{} = 1", "k".repeat(250_000)), "one long key"),
        ((0..20_000).map(|k| format!("k{k} = 1\n")).collect(), "many unknown keys"),
        ((0..15_000).map(|k| format!("[t{k}]\n")).collect(), "many unknown tables"),
        ("[[webhooks]]\n".repeat(15_000), "many webhooks"),
        ("a = \"\\u0000\"\n\u{0}".to_owned(), "control characters"),
    ];
    for (text, why) in rows {
        let found = problems(&text);
        assert!(!found.is_empty(), "{why}");
        assert!(found.iter().all(|problem| problem.len() < 600 && !problem.contains('\u{0}')), "{why}");
    }
}

#[test]
fn endpoints_of_all_kinds_share_names_and_their_number() {
    let hook = |k: usize| format!("[[webhooks]]\nname=\"w{k}\"\nurl=\"http://x/\"\n");
    let file = |name: &str| format!("[[files]]\nname=\"{name}\"\npath=\"out/{{seq}}.ndjson\"\n");
    let hooks: String = (0..8).map(hook).collect();
    assert!(load(&hooks).is_ok());
    assert_eq!(
        problems(&format!("{hooks}{}", file("f"))),
        ["edge.toml:25: one endpoint too many: there may be 8 of all kinds together"]
    );
    assert_eq!(
        problems(&format!("{}{}", hook(1), file("w1"))),
        ["edge.toml:5: `files[0].name` is \"w1\"; it must be a name that no other endpoint has"]
    );
    let csv = format!("{}format=\"csv\"\ntypes=[\"a.b\"]\n", file("f"));
    assert!(problems(&csv)[0].contains("`files[0].types`"), "{:?}", problems(&csv));
    let bad = "[[files]]\nname=\"f\"\npath=\"out/../{seq}\"\n";
    assert!(problems(bad)[0].starts_with("edge.toml:3: `files[0].path` is"), "{:?}", problems(bad));
}

//! Spans on their way to a receiver over a real socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use mycelium_daemon::clock::Wall;
use mycelium_daemon::supervisor::tracing::{Exporter, export};
use mycelium_daemon::telemetry::trace::otlp::Resource;
use mycelium_daemon::telemetry::trace::{
    Attributes, Links, QUEUE, Span, SpanCounters, SpanKind, TraceSettings, Tracer,
};

/// One request: its head in lower case and its body; answered with `status`, which may have fields behind it, and `{}`.
fn receive(stream: &mut TcpStream, status: &str) -> (String, String) {
    receive_and_say(stream, status, "{}")
}

fn receive_and_say(stream: &mut TcpStream, status: &str, answer: &str) -> (String, String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        head.push('\n');
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let length = answer.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}")
        .unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn batch(tracer: &Tracer) {
    for k in 0..128 {
        let span = Span {
            context: tracer.begin(None),
            parent: None,
            name: format!("work {k}"),
            kind: SpanKind::Internal,
            start: Wall(1),
            took: Duration::from_millis(1),
            attributes: Attributes::default(),
            state: None,
            links: Links::new(),
            error: None,
        };
        tracer.end(span);
    }
}

/// Polls a counter that another thread moves.
fn reaches(count: impl Fn() -> u64, want: u64) {
    for _ in 0..3000 {
        if count() == want {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{} instead of {want}", count());
}

#[test]
fn a_batch_is_posted_tried_again_while_the_receiver_is_busy_and_given_up_when_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = TraceSettings {
        otlp_url: Some(format!("http://{}/v1/traces", listener.local_addr().unwrap())),
        sample_ratio: 1.0,
    };
    let counters: Arc<SpanCounters> = Arc::default();
    let tracer = Tracer::new(&settings, 3, Arc::clone(&counters));
    let resource = Resource { device: "pi-3".to_owned(), version: "0" };
    let exporter = export(&tracer, &settings, resource, 1).unwrap().unwrap();

    batch(&tracer);
    let (head, first) = receive(&mut listener.accept().unwrap().0, "503 Busy");
    assert!(head.starts_with("post /v1/traces http/1.1") && head.contains("content-type: application/json"));
    let (_, second) = receive(&mut listener.accept().unwrap().0, "200 OK");
    assert_eq!(first, second, "the same spans once more");
    assert!(first.contains("\"name\":\"work 127\"") && first.contains("\"stringValue\":\"pi-3\""));
    reaches(|| counters.exported.get(), 128);

    batch(&tracer);
    receive(&mut listener.accept().unwrap().0, "400 Bad Request");
    reaches(|| counters.dropped.get(), 128);
    assert_eq!(counters.exported.get(), 128);
    exporter.stop();
}

/// An exporter of spans to `address`, its tracer and its counters.
fn exporter(address: SocketAddr) -> (Arc<SpanCounters>, Tracer, Exporter) {
    let settings = TraceSettings { otlp_url: Some(format!("http://{address}/v1/traces")), sample_ratio: 1.0 };
    let counters: Arc<SpanCounters> = Arc::default();
    let tracer = Tracer::new(&settings, 3, Arc::clone(&counters));
    let resource = Resource { device: "pi-3".to_owned(), version: "0" };
    let exporter = export(&tracer, &settings, resource, 1).unwrap().unwrap();
    (counters, tracer, exporter)
}

/// Seen red with every 2xx counted as all taken.
#[test]
fn spans_the_receiver_has_left_out_of_a_batch_count_as_dropped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (counters, tracer, exporter) = exporter(listener.local_addr().unwrap());
    batch(&tracer);
    let answer = "{\"partialSuccess\":{\"rejectedSpans\":\"28\",\"errorMessage\":\"too old\"}}";
    receive_and_say(&mut listener.accept().unwrap().0, "200 OK", answer);
    reaches(|| counters.dropped.get(), 28);
    assert_eq!(counters.exported.get(), 100);
    exporter.stop();
}

/// Nobody listens: the queue fills, and what does not fit is counted. Nothing that makes spans ever waits. When the receiver comes, what waited goes out.
#[test]
fn with_the_receiver_down_spans_wait_then_overflow_and_are_counted_and_go_out_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (counters, tracer, exporter) = exporter(address);
    // The thread holds one batch, the queue four more; of eight the rest has to go.
    batch(&tracer);
    reaches(|| u64::from(tracer.waiting() == 0), 1);
    (0..7).for_each(|_| batch(&tracer));
    assert_eq!(tracer.waiting(), QUEUE);
    assert_eq!(counters.dropped.get(), (7 * 128 - QUEUE) as u64);
    assert_eq!(counters.exported.get(), 0);
    let listener = TcpListener::bind(address).unwrap();
    for _ in 0..5 {
        receive(&mut listener.accept().unwrap().0, "200 OK");
    }
    reaches(|| counters.exported.get(), (128 + QUEUE) as u64);
    assert_eq!(counters.dropped.get(), (7 * 128 - QUEUE) as u64, "no more were lost");
    exporter.stop();
}

//! A delivery thread with everything around it, over a source of the test's choice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::delivery::DeliveryMetrics;
use mycelium_daemon::delivery::kind::SendReply;
use mycelium_daemon::delivery::source::Record;
use mycelium_daemon::delivery::source::RecordSource;
use mycelium_daemon::delivery::trace::DeliveryTraceHook;
use mycelium_daemon::delivery::worker::{EndpointSpec, spawn};
use mycelium_daemon::delivery::{Endpoint, EndpointControl, RawDelivery, RawWebhook, Webhook};
use mycelium_daemon::net::trace::TraceHeaders;
use mycelium_daemon::net::{BreakerPolicy, WorkerControl};
use mycelium_daemon::snapshots::{EndpointView, ProcessIdentity, Snapshots};

use super::queue::{BOOT, Queue};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Rig {
    pub endpoint: EndpointControl,
    pub control: WorkerControl,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<DeliveryMetrics>,
    /// Removed at the end; `None` when the test keeps it.
    directory: Option<PathBuf>,
}

/// Sends the same ids with every attempt.
struct FixedTrace;

impl DeliveryTraceHook for FixedTrace {
    fn begin(&mut self, _: Stamp, _: &[Record]) -> TraceHeaders {
        TraceHeaders::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    }

    fn end(&mut self, _: &SendReply) {}
}

pub fn raw(url: String) -> RawWebhook {
    RawWebhook {
        delivery: RawDelivery {
            name: "lab".into(),
            batch_records: 8,
            linger_ms: 5,
            retry_base_ms: 2,
            retry_max_ms: 10,
            spread_ms: 2,
            ..RawDelivery::default()
        },
        url,
        timeout_ms: 2_000,
        ..RawWebhook::default()
    }
}

pub fn endpoint(raw: &RawWebhook) -> Endpoint {
    Endpoint::Webhook(Webhook::checked("webhooks[0]", raw).unwrap())
}

pub fn quick() -> BreakerPolicy {
    BreakerPolicy {
        open: Duration::from_millis(5),
        open_max: Duration::from_millis(20),
        ..BreakerPolicy::default()
    }
}

pub fn fresh_directory() -> PathBuf {
    std::env::temp_dir().join(format!("mycelium-delivery-{:016x}", fastrand::u64(..)))
}

pub fn rig(raw: &RawWebhook, queue: &Queue) -> Rig {
    let directory = fresh_directory();
    let mut rig = rig_in(&directory, raw, quick(), Box::new(queue.clone()));
    rig.directory = Some(directory);
    rig
}

pub fn rig_in(
    directory: &Path,
    raw: &RawWebhook,
    breaker: BreakerPolicy,
    source: Box<dyn RecordSource>,
) -> Rig {
    rig_of(BOOT, directory, raw, breaker, source)
}

pub fn rig_of(
    boot: BootId,
    directory: &Path,
    raw: &RawWebhook,
    breaker: BreakerPolicy,
    source: Box<dyn RecordSource>,
) -> Rig {
    of_endpoint(boot, directory, endpoint(raw), breaker, source)
}

pub fn of_endpoint(
    boot: BootId,
    directory: &Path,
    endpoint: Endpoint,
    breaker: BreakerPolicy,
    source: Box<dyn RecordSource>,
) -> Rig {
    let view = EndpointView::new(endpoint.name(), endpoint.kind());
    let started = Stamp { mono: Mono::now(), wall: Wall::now(), synced: true };
    let identity = ProcessIdentity { device: "dev".into(), boot, started, seed: 1 };
    let snapshots = Arc::new(Snapshots::new(identity, 1, vec![]));
    snapshots.endpoints.lock().unwrap().push(view);
    let metrics = Arc::new(DeliveryMetrics::new(endpoint.name()));
    let spec = EndpointSpec {
        endpoint,
        breaker,
        directory: directory.to_owned(),
        snapshots: Arc::clone(&snapshots),
        task: None,
        metrics: Arc::clone(&metrics),
        trace: Box::new(FixedTrace),
        seed: fastrand::u64(..),
    };
    let endpoint = spawn(spec, source).unwrap();
    Rig { control: endpoint.worker().clone(), endpoint, snapshots, metrics, directory: None }
}

impl Rig {
    pub fn stop(&self) {
        self.control.stop();
        assert!(self.control.join(Duration::from_millis(1500)), "did not end in time");
    }

    pub fn view(&self) -> EndpointView {
        self.snapshots.endpoints.lock().unwrap()[0].clone()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.control.stop();
        self.control.join(Duration::ZERO);
        self.directory.take().map(std::fs::remove_dir_all);
    }
}

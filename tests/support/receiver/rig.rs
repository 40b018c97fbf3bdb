//! A delivery thread with everything around it, over a source of the test's choice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mycelium_daemon::clock::{BootId, Mono, Stamp, Wall};
use mycelium_daemon::delivery::DeliveryMetrics;
use mycelium_daemon::delivery::source::Source;
use mycelium_daemon::delivery::trace::Untraced;
use mycelium_daemon::delivery::worker::{Spec, spawn};
use mycelium_daemon::delivery::{BreakerPolicy, Control, Endpoint, RawEndpoint};
use mycelium_daemon::snapshots::{EndpointView, ProcessIdentity, Snapshots};

use super::queue::{BOOT, Queue};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Rig {
    pub control: Control,
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<DeliveryMetrics>,
    /// Removed at the end; `None` when the test keeps it.
    directory: Option<PathBuf>,
}

pub fn raw(url: String) -> RawEndpoint {
    RawEndpoint {
        name: "lab".into(),
        url,
        batch_records: 8,
        linger_ms: 5,
        timeout_ms: 2_000,
        retry_base_ms: 2,
        retry_max_ms: 10,
        spread_ms: 2,
        ..RawEndpoint::default()
    }
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

pub fn rig(raw: &RawEndpoint, queue: &Queue) -> Rig {
    let directory = fresh_directory();
    let mut rig = rig_in(&directory, raw, quick(), Box::new(queue.clone()));
    rig.directory = Some(directory);
    rig
}

pub fn rig_in(directory: &Path, raw: &RawEndpoint, breaker: BreakerPolicy, source: Box<dyn Source>) -> Rig {
    rig_of(BOOT, directory, raw, breaker, source)
}

pub fn rig_of(
    boot: BootId,
    directory: &Path,
    raw: &RawEndpoint,
    breaker: BreakerPolicy,
    source: Box<dyn Source>,
) -> Rig {
    let endpoint = Endpoint::checked("webhooks[0]", raw).unwrap();
    let view = EndpointView::new(&endpoint.name, "webhook");
    let started = Stamp { mono: Mono::now(), wall: Wall::now(), synced: true };
    let identity = ProcessIdentity { device: "dev".into(), boot, started, seed: 1 };
    let snapshots = Arc::new(Snapshots::new(identity, 1, vec![]));
    snapshots.endpoints.lock().unwrap().push(view);
    let metrics = Arc::new(DeliveryMetrics::new(&endpoint.name));
    let spec = Spec {
        endpoint,
        breaker,
        directory: directory.to_owned(),
        snapshots: Arc::clone(&snapshots),
        task: None,
        metrics: Arc::clone(&metrics),
        trace: Box::new(Untraced::new(7)),
        seed: fastrand::u64(..),
    };
    Rig { control: spawn(spec, source).unwrap(), snapshots, metrics, directory: None }
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

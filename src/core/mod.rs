//! The spine: holds the mounts and runs one request through them, in order.
//!
//! Find the row, find the caller, admit, run. Knows no engine's business and nothing of HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use crate::access::lockout::Lockout;
use crate::access::quotas::Quotas;
use crate::access::{Caller, Tokens, gate};
use crate::api::route::{Access, Captures, Row, Shape, Work};
use crate::api::{Error, Op, Reply, Request, weak};
use crate::barrier::{Horizon, Scope, Sealed, Unsealed};
use crate::clock::{Clock, Timestamp};
use crate::engine::{Call, Served};
use crate::storage::{Durable, Seq};

pub mod audit;
pub mod catalog;
pub mod cors;
pub mod customer_keys;
mod engines;
mod errand;
pub mod fixed;
mod leases;
mod lifecycle;
mod logins;
pub(crate) mod meters;
mod metrics;
pub mod mounts;
mod place;
pub mod protection;
pub mod receipts;
pub mod reset;
pub mod rotation;
pub mod seal;
mod second_factor;
mod tables;
mod tick;
pub mod ui_headers;
pub(crate) mod versions;
mod working;
pub(crate) mod wrapping;

pub use crate::access::quotas::Count;
use audit::{Audit, Event};
use cors::Cors;
use customer_keys::CustomerKeys;
use customer_keys::approvals::Approvals;
pub use engines::kinds;
use errand::Errand;
pub use lifecycle::{KvVersion, SealState};
use meters::Meters;
use mounts::{Mounts, UserLockout};
use place::Place;
use protection::Protections;
use second_factor::Waiting;
use tables::Tables;
pub use working::Working;
use working::Workings;

/// One server's state, whatever its seal.
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    sealed: Sealed,
    unsealing: seal::Unsealing,
    active: RwLock<Option<Arc<Active>>>,
    pub(crate) quotas: Quotas,
    pub(crate) audit: Audit,
    pub(crate) cors: Cors,
    pub(crate) working: Workings,
    tables: Arc<Tables>,
    pub(crate) meters: Meters,
    /// Where a dev server can go back to.
    origin: OnceLock<reset::Origin>,
}

impl Drop for Core {
    /// Nothing works on the store once this is gone.
    fn drop(&mut self) {
        if let Some(active) = self.active() {
            active.stop_migrations();
        }
    }
}

/// What an operator sets and the API reports.
#[derive(Clone)]
pub struct Settings {
    /// What `sys/seal-status` says about storage.
    pub storage_type: &'static str,
    /// The URL at which clients reach this server: the issuer of identity tokens. Empty if nobody said.
    pub api_addr: String,
    pub default_lease_ttl: Duration,
    pub max_lease_ttl: Duration,
    /// Bound of the transit key cache.
    pub key_cache_bytes_max: u64,
    /// Bound of the cache of KV secrets.
    pub kv_cache_bytes_max: u64,
    /// Nobody is locked out, whatever the mounts say.
    pub user_lockout_disabled: bool,
    /// What holds of lockouts where a mount says nothing, by type of login method; `all` is for those that are not named.
    pub user_lockout: BTreeMap<String, UserLockout>,
    /// The name of the cluster that is made; one of its own if empty.
    pub cluster_name: String,
    /// What `sys/config/state/sanitized` tells.
    pub configuration: serde_json::Value,
    /// `sys/metrics` needs no token, and is answered while the barrier is sealed, too.
    pub metrics_open: bool,
    /// For how long Prometheus' form of the metrics is kept where others collect it; here nothing is collected, and zero
    /// means that there is no such form.
    pub metrics_retention: Duration,
    /// What unseals the server without people.
    pub seals: seal::Seals,
    /// `sys/rekey/*` and `sys/generate-root/*` take a token with `sudo`, besides the shares.
    pub shares_need_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            storage_type: "inmem",
            api_addr: String::new(),
            default_lease_ttl: LEASE_TTL_DEFAULT,
            max_lease_ttl: LEASE_TTL_DEFAULT,
            key_cache_bytes_max: KEY_CACHE_BYTES_MAX,
            kv_cache_bytes_max: KV_CACHE_BYTES_MAX,
            user_lockout_disabled: false,
            user_lockout: BTreeMap::new(),
            cluster_name: String::new(),
            configuration: serde_json::Value::Object(serde_json::Map::new()),
            metrics_open: false,
            metrics_retention: METRICS_RETENTION,
            seals: seal::Seals::default(),
            shares_need_token: false,
        }
    }
}

/// What there is only while the barrier is unsealed.
pub(crate) struct Active {
    pub(crate) barrier: Unsealed,
    pub(crate) platform: Scope,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) lockout: Lockout,
    pub(crate) waiting: Waiting,
    pub(crate) mounts: Mounts,
    pub(crate) customer_keys: CustomerKeys,
    pub(crate) approvals: Approvals,
    pub(crate) protections: Protections,
    pub(crate) cluster: seal::Cluster,
    /// Who may do what otherwise takes the unseal key; nobody, where people hold that.
    recovery: RwLock<Option<seal::Recovery>>,
    rekey: seal::Rekey,
    recovery_rekey: seal::Rekey,
    root_generation: seal::RootGeneration,
}

/// What a quota for roles wants to know of a login.
#[derive(Deserialize)]
struct LoginWithRole {
    role: String,
}

/// The outcome of one request.
pub struct Answer {
    pub outcome: Result<Reply, Error>,
    pub manner: Manner,
    /// What must be in the audit trail before the client may be told; `None`: nothing.
    pub entry: Option<audit::Ending>,
    /// What must be durable before the client may be told; `None`: nothing.
    pub durable: Option<Durable>,
}

/// What an answer looks like, whatever it says.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    pub shape: Shape,
    /// The type of the engine that answered; empty if none did.
    pub mount_type: &'static str,
    /// The number of the row that answered, or refused to; none if no row is for the request.
    pub row: Option<usize>,
}

/// What kind of thread a request runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// One that reads sockets: whatever takes long keeps others waiting.
    Socket,
    /// One that may block.
    Worker,
}

impl Thread {
    fn suits(self, work: Work) -> bool {
        self == Self::Worker || work == Work::Quick
    }
}

impl Core {
    /// A core over a barrier that is sealed, or not yet initialised.
    pub fn new(sealed: Sealed, settings: Settings, clock: Clock) -> Arc<Self> {
        let tables = Arc::new(Tables::new(&settings));
        Arc::new(Self {
            meters: Meters::new(tables.all.len(), clock.now()),
            tables,
            settings,
            clock,
            sealed,
            unsealing: seal::Unsealing::default(),
            active: RwLock::new(None),
            quotas: Quotas::default(),
            audit: Audit::default(),
            cors: Cors::default(),
            working: Workings::default(),
            origin: OnceLock::new(),
        })
    }

    /// Counts a request before anything else is done for it, if a quota is for it.
    pub fn count(&self, path: &str, client: IpAddr) -> Option<Count> {
        self.quotas.count(path, client, || self.clock.now())
    }

    /// Counts a request by the role that it wants to log in with, if a quota is for that.
    pub fn count_login(&self, request: &Request) -> Option<Count> {
        if request.op != Op::Write || !self.quotas.ask_for_roles(&request.path) {
            return None;
        }
        let login = weak::decode::<LoginWithRole>(&Captures::default(), &request.params).ok()?.request;
        self.quotas.count_login(&request.path, &login.role, request.remote, self.clock.now())
    }

    /// Whether it is to be noted in the audit trail that a quota refuses requests.
    pub fn notes_exceeded(&self) -> bool {
        self.audit.is_on() && self.quotas.audits_refusals()
    }

    /// Notes that a quota refuses a request, about whose sender nobody has asked. Runs on a thread that may block.
    pub fn note_exceeded(&self, request: &Request, refusal: &Error) -> Result<(), Error> {
        let mount = self.active().and_then(|active| Some(active.mounts.find(&request.path)?.0));
        let (refusal, now) = (Some(refusal.to_string()), self.clock.now());
        let event = || Event { request, row: None, mount, caller: None, creates: false, refusal, now };
        self.audit.begin(Thread::Worker, None, &Horizon::default(), event).map(drop)
    }

    /// Runs one request to its answer. `None` if that takes a thread that may block and this one may not: nothing has been
    /// done then.
    pub fn handle(self: &Arc<Self>, request: &Request, thread: Thread) -> Option<Answer> {
        let horizon = Horizon::default();
        let mut manner = Manner::default();
        let _working = (thread == Thread::Worker).then(|| self.working.enter(request, self.clock.now()));
        let active = self.active();
        let (outcome, entry) = match &active {
            None => (self.handle_sealed(request, thread, &mut manner).transpose()?, None),
            Some(active) => {
                let errand = Errand { core: self, active, request, horizon: &horizon, now: self.clock.now() };
                self.handle_active(&errand, thread, &mut manner)?
            }
        };
        let durable = active.and_then(|active| active.durable(horizon.seq()));
        Some(Answer { outcome, manner, entry, durable })
    }

    /// Without the barrier only the rows that say so answer.
    fn handle_sealed(
        self: &Arc<Self>,
        request: &Request,
        thread: Thread,
        manner: &mut Manner,
    ) -> Result<Option<Reply>, Error> {
        let place = self.sys_place(request.path.strip_prefix(SYS_PATH).ok_or(Error::Sealed)?);
        let target = match place.find(request.op) {
            _ if request.help => return Err(Error::Sealed),
            Ok(target) if target.row.while_sealed => target,
            Ok(target) if target.row.path.starts_with(REKEY_PATHS) && target.row.is_special() => {
                return Err(Error::Inactive);
            }
            Err(Error::UnknownMethod) => return Err(Error::UnknownMethod),
            Ok(_) | Err(_) => return Err(Error::Sealed),
        };
        if !thread.suits(target.row.work) {
            return Ok(None);
        }
        (manner.shape, manner.row) = (target.row.shape, Some(target.number));
        // Nobody can be known here, whatever the row asks for otherwise.
        let admitted = gate::admit_anyone(Access::Open)?;
        let (mount, now) = (place.mount_path(), self.clock.now());
        let call = Call { request, mount, captures: target.captures, admitted, now, view: None, logins: None };
        place.backend().run(target.route, &call).map(Some)
    }

    fn handle_active(
        self: &Arc<Self>,
        errand: &Errand<'_>,
        thread: Thread,
        manner: &mut Manner,
    ) -> Option<(Result<Reply, Error>, Option<audit::Ending>)> {
        let Errand { active, request, horizon, now, .. } = *errand;
        let place = self.place_in(active, &request.path);
        let found = place.as_ref().ok_or_else(|| Error::NoMount(request.path.clone())).and_then(|p| p.find(request.op));
        manner.shape = match &found {
            _ if request.help => Shape::Bare,
            Ok(target) => target.row.shape,
            Err(_) => Shape::Enveloped,
        };
        manner.row = found.as_ref().ok().map(|target| target.number);
        let caller = match &found {
            Ok(target) if self.access(target.row) == Access::Open => Ok(None),
            Err(Error::UnknownMethod) if !request.help => Err(Error::UnknownMethod),
            Ok(_) | Err(_) => active.identify(request, horizon, now).map(Some),
        };
        // Before the request counts as a use of its token.
        let row = found.as_ref().ok().map(|target| target.row);
        let blocks = self.audit.blocks(row, request.help);
        let is_slow = caller.is_ok() && !request.help && row.is_some_and(|row| !thread.suits(row.work));
        if is_slow || blocks && thread == Thread::Socket {
            return None;
        }
        let view = active.platform.view(horizon);
        let charge = |caller: Option<_>| caller.map(|caller| active.tokens.charge(&view, caller)).transpose();
        let (caller, admitted) = match caller.and_then(charge) {
            Ok(caller) => (caller.clone(), errand.admit(caller.as_ref(), place.as_ref(), &found)),
            Err(error) => (None, Err(error)),
        };
        let event = || errand.event(caller.clone(), place.as_ref(), &found, admitted.as_ref().err());
        let told = match self.audit.begin(thread, row, horizon, event) {
            Ok(trail) => {
                let outcome = admitted.and_then(|admitted| errand.run(admitted, place, found, manner));
                trail.end(outcome, &self.clock)
            }
            Err(error) => (Err(error), None),
        };
        if let Some(caller) = &caller {
            active.tokens.settle(&view, caller);
        }
        Some(told)
    }

    /// Headers that the audit devices are told of; `None` if there is nobody to tell.
    pub fn audited_headers(&self) -> Option<Arc<audit::Headers>> {
        self.audit.wanted_headers()
    }

    /// Opens the files of the audit devices anew, which somebody has moved away.
    pub fn reopen_audit(&self) {
        self.audit.reopen();
    }

    /// Whether an audit device keeps a thread waiting that may be one of those that read sockets. To be asked every
    /// `audit::WATCH_PERIOD`.
    pub fn watch_audit(&self) -> bool {
        self.audit.watch()
    }

    pub(crate) fn active(&self) -> Option<Arc<Active>> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state behind an unsealed barrier, for handlers that need it.
    pub(crate) fn unsealed(&self) -> Result<Arc<Active>, Error> {
        self.active().ok_or(Error::Sealed)
    }

    /// What a row asks of callers on this server.
    pub(crate) fn access(&self, row: &Row) -> Access {
        match row.access {
            Access::Shares if self.settings.shares_need_token => Access::Sudo,
            Access::Shares => Access::Open,
            access => access,
        }
    }

    /// The row that an operation on a path leads to, whoever may use it.
    pub(crate) fn row(&self, op: Op, path: &str) -> Result<Option<&'static Row>, Error> {
        let active = self.unsealed()?;
        let found = match below_sys(path) {
            Some(rest) => self.tables.sys.find(op, rest).ok().map(|target| target.row),
            None => active.mounts.find(path).and_then(|(mount, rest)| Some(mount.backend.find(op, rest).ok()?.row)),
        };
        Ok(found)
    }

    fn place_in<'p>(self: &Arc<Self>, active: &Active, path: &'p str) -> Option<Place<'p>> {
        if let Some(rest) = below_sys(path) {
            return Some(self.sys_place(rest));
        }
        active.mounts.find(path).map(|(mount, rest)| Place::Mount { mount, rest })
    }

    fn sys_place<'p>(self: &Arc<Self>, rest: &'p str) -> Place<'p> {
        Place::Sys { served: Served { rows: self.tables.sys.clone(), engine: self.clone() }, rest }
    }
}

impl Active {
    fn durable(&self, seq: Seq) -> Option<Durable> {
        (seq != Seq::SETTLED).then(|| self.barrier.durable(seq)).filter(|durable| !durable.is_done())
    }

    fn identify(&self, request: &Request, horizon: &Horizon, now: Timestamp) -> Result<Arc<Caller>, Error> {
        gate::identify(&self.tokens, &self.platform.view(horizon), request, now)
    }

    /// A refusal as the caller hears it.
    fn refusal(&self, error: Error, caller: &Caller, access: Access, request: &Request, horizon: &Horizon) -> Error {
        match error {
            Error::Denied => gate::refusal(&self.tokens, &self.platform.view(horizon), caller, access, request.into()),
            other => other,
        }
    }

    /// Sees to it that who sent a response-wrapping token gets nothing twice, and who asked for one nothing without.
    fn deliver(&self, call: &Call<'_>, reply: Reply, manner: Manner, horizon: &Horizon) -> Result<Reply, Error> {
        let view = self.platform.view(horizon);
        let reply = match call.admitted.caller().filter(|caller| caller.is_wrapping()) {
            Some(caller) => self.spend_read(&view, caller, reply)?,
            None => reply,
        };
        match (call.request.wrap_ttl, manner.shape) {
            (Some(ttl), Shape::Enveloped | Shape::Echoed) => {
                self.wrap(&view, reply, &wrapping::Order::of(call, manner.mount_type, ttl))
            }
            (Some(_), Shape::Bare) | (None, _) => Ok(reply),
        }
    }
}

/// What is left of a path there, if it leads below `sys/`; that of the whole mount may lack its slash.
fn below_sys(path: &str) -> Option<&str> {
    if path == SYS_PATH.trim_end_matches('/') { Some("") } else { path.strip_prefix(SYS_PATH) }
}

/// A new random identifier.
pub(crate) fn new_uuid() -> Uuid {
    let mut bytes = [0; 16];
    crate::crypto::random::Random::fill(&mut crate::entropy::Entropy, &mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The version of Vault whose behaviour clients may count on; they parse it, so it is plain semver.
pub const VAULT_VERSION: &str = "1.18.5";
const SYS_PATH: &str = "sys/";
/// Below it, those that a sealed server of Vault would send to the one that leads.
const REKEY_PATHS: &str = "rekey";
/// Vault's system defaults.
const LEASE_TTL_DEFAULT: Duration = Duration::from_hours(768);
const METRICS_RETENTION: Duration = Duration::from_hours(24);
const KEY_CACHE_BYTES_MAX: u64 = 64 << 20;
const KV_CACHE_BYTES_MAX: u64 = 64 << 20;

//! From an empty store to an unsealed server, and back to a sealed one. How the root key is come by is `seal`'s business.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::customer_keys::CustomerKeys;
use super::customer_keys::approvals::Approvals;
use super::mounts::{MountEntry, Mounts, Tune};
use super::protection::Protections;
use super::seal::{Cluster, Recovery, Rekey, RootGeneration, SealRecord, Split};
use super::second_factor::Waiting;
use super::{Active, Core, new_uuid, versions};
use crate::access::Tokens;
use crate::access::lockout::Lockout;
use crate::access::tokens::{TokenRecord, nanoseconds, new_token};
use crate::api::{Error, Token};
use crate::barrier::{Horizon, KeyVersion, Protector, Stored, StoredBytes, Unsealed, View};
use crate::clock::Stopwatch;

/// How far a core is from answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealState {
    Uninitialised,
    Sealed { shares: u8, threshold: u8 },
    Unsealed { shares: u8, threshold: u8 },
}

/// A version of `kv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    V1,
    /// Version 1 whose reads are under leases.
    V1Leased,
    V2,
}

impl KvVersion {
    /// The options of a mount of it.
    fn options(self) -> BTreeMap<String, String> {
        let options: &[_] = match self {
            Self::V1 => &[("version", "1")],
            Self::V1Leased => &[("version", "1"), ("leased_passthrough", "true")],
            Self::V2 => &[("version", "2")],
        };
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

impl Core {
    pub fn seal_state(&self) -> Result<SealState, Error> {
        let Some(bytes) = self.sealed.seal_record()? else { return Ok(SealState::Uninitialised) };
        let Split { shares, threshold } = SealRecord::from_bytes(&bytes)?.split();
        Ok(match self.active() {
            Some(_) => SealState::Unsealed { shares, threshold },
            None => SealState::Sealed { shares, threshold },
        })
    }

    /// Forgets everything that opens a record. Requests that have begun end first, those that come meanwhile are refused;
    /// `own` of them wait for this.
    pub fn seal(&self, own: usize) {
        let Some(active) = self.active.write().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let _changing = self.unsealing.change();
        tracing::warn!("the server is sealed");
        self.unsealing.reset();
        self.unsealing.end_patience();
        active.stop_migrations();
        let watch = Stopwatch::start();
        while Arc::strong_count(&active) > 1 + own && watch.elapsed() < SEAL_DRAIN_MAX {
            thread::sleep(DRAIN_STEP);
        }
        let left = Arc::strong_count(&active).saturating_sub(1 + own);
        if left > 0 {
            tracing::warn!(
                requests = left,
                "requests from before the seal are still being worked on; keys stay until their end"
            );
        }
        self.audit.clear();
        self.quotas.clear();
    }

    /// Reads what an active core needs, and makes on first use what is missing.
    pub(super) fn activate(&self, barrier: Unsealed, recovery: Option<Recovery>) -> Result<(), Error> {
        let horizon = Horizon::default();
        barrier.date_term(nanoseconds(self.clock.now()))?;
        let platform = barrier.platform();
        let view = platform.view(&horizon);
        let tokens = Arc::new(Tokens::open(&view)?);
        let cluster = open_cluster(&view, &self.settings.cluster_name)?;
        let customer_keys = CustomerKeys::default();
        let keys = |key: &KeyVersion| match customer_keys.wrapper(&view, key) {
            Ok(wrapper) => wrapper,
            Err(error) => {
                tracing::error!(%key, %error, "a customer key cannot be read; its mounts stay locked");
                None
            }
        };
        let mounts = Mounts::open(&barrier, &platform, &tokens, &self.tables, &self.settings, &keys)?;
        let protections = Protections::open(&view, &mounts, self.clock.clone())?;
        self.quotas.load(&view)?;
        self.audit.load(&view)?;
        self.cors.load(&view)?;
        versions::note(&view, self.clock.now())?;
        barrier.durable(horizon.seq()).wait();
        let active = Arc::new(Active {
            barrier,
            platform,
            tokens,
            lockout: Lockout::default(),
            waiting: Waiting::default(),
            mounts,
            customer_keys,
            approvals: Approvals::default(),
            protections,
            cluster,
            recovery: RwLock::new(recovery),
            rekey: Rekey::default(),
            recovery_rekey: Rekey::default(),
            root_generation: RootGeneration::default(),
        });
        active.drive();
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Some(active);
        Ok(())
    }

    /// The mount that dev mode begins with: `secret/`, a `kv`. Durable on return.
    pub fn dev_mount(&self, version: KvVersion) -> Result<(), Error> {
        let active = self.unsealed()?;
        let description = "key/value secret storage".to_owned();
        let tune = Tune { description, options: Some(version.options()), ..Tune::default() };
        let horizon = Horizon::default();
        let entry = MountEntry::new("secret/".to_owned(), "kv".to_owned(), tune);
        active.mounts.enable(&active, &active.platform.view(&horizon), entry, Protector::Platform)?;
        active.barrier.durable(horizon.seq()).wait();
        Ok(())
    }

    /// The root token of dev mode: the wanted one, or the one of the last start, or a new one. Durable on return.
    pub fn dev_root_token(&self, wanted: Option<&str>) -> Result<Token, Error> {
        let active = self.unsealed()?;
        let horizon = Horizon::default();
        let view = active.platform.view(&horizon);
        let known = view.get::<DevToken>(DEV_TOKEN_PATH)?.map(|found| found.value);
        let known = known.and_then(|token| String::from_utf8(token.0.0.to_vec()).ok());
        let token = match wanted.map(str::to_owned).or(known) {
            Some(token) => Token::new(token),
            None => new_token(),
        };
        if active.tokens.look_up(&view, &token, self.clock.now())?.is_none() {
            let record = TokenRecord::root("auth/token/create", "token", self.clock.now());
            active.tokens.create(&view, &token, record)?;
        }
        let mut change = view.change();
        change.put(DEV_TOKEN_PATH, &DevToken(StoredBytes(token.expose().as_bytes().to_vec().into())))?;
        change.commit()?;
        active.barrier.durable(horizon.seq()).wait();
        Ok(token)
    }
}

fn open_cluster(view: &View<'_>, name: &str) -> Result<Cluster, Error> {
    if let Some(found) = view.get::<Cluster>(CLUSTER_PATH)? {
        return Ok(found.value);
    }
    let id = new_uuid().to_string();
    let own = || format!("vault-cluster-{}", id.get(..8).unwrap_or_default());
    let cluster = Cluster { name: if name.is_empty() { own() } else { name.to_owned() }, id };
    let mut change = view.change();
    change.put(CLUSTER_PATH, &cluster)?.expect_absent(CLUSTER_PATH);
    change.commit()?;
    Ok(cluster)
}

/// The root token of a dev server, so that its next start has the same.
#[derive(Serialize, Deserialize)]
struct DevToken(StoredBytes);

impl Stored for DevToken {
    const VERSION: u8 = 1;
}

const DEV_TOKEN_PATH: &str = "dev/root-token";
const CLUSTER_PATH: &str = "cluster";
/// Requests end in less; one that takes longer is not waited for.
const SEAL_DRAIN_MAX: Duration = Duration::from_secs(10);
const DRAIN_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::super::seal::UnsealKey;
    use super::*;
    use crate::barrier::Sealed;
    use crate::clock::Clock;
    use crate::core::Settings;
    use crate::storage::Memory;

    const UNSEALED: SealState = SealState::Unsealed { shares: 1, threshold: 1 };
    const SEALED: SealState = SealState::Sealed { shares: 1, threshold: 1 };

    /// A server that starts over a store.
    fn started(store: &Arc<Memory>) -> Arc<Core> {
        Core::new(Sealed::new(store.clone()), Settings::default(), Clock::System)
    }

    #[test]
    fn a_store_is_initialised_once_and_unsealed_at_every_start() {
        let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
        let core = started(&store);
        assert_eq!(core.seal_state().unwrap(), SealState::Uninitialised);
        assert_eq!(core.unseal(&key).unwrap_err().to_string(), "Vault is not initialized");
        assert!(matches!(core.unsealed(), Err(Error::Sealed)));
        core.initialise(&key).unwrap();
        assert_eq!(core.seal_state().unwrap(), UNSEALED);
        assert!(core.initialise(&UnsealKey::generate()).is_err());
        let cluster = core.unsealed().unwrap().cluster.clone();

        let core = started(&store);
        assert_eq!(core.seal_state().unwrap(), SEALED);
        assert!(core.dev_root_token(None).is_err(), "a sealed server makes no tokens");
        let error = core.unseal(&UnsealKey::generate()).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains("message authentication failed")), "{error:?}");
        assert_eq!(core.seal_state().unwrap(), SEALED);
        core.unseal(&UnsealKey::from_base64(&key.to_base64()).unwrap()).unwrap();
        assert_eq!(core.seal_state().unwrap(), UNSEALED);
        let again = core.unsealed().unwrap().cluster.clone();
        assert_eq!((again.id, again.name), (cluster.id, cluster.name));
    }

    #[test]
    fn dev_mode_begins_with_a_kv_of_version_2() {
        let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
        let core = started(&store);
        core.initialise(&key).unwrap();
        core.dev_mount(KvVersion::V2).unwrap();
        assert_eq!(core.dev_mount(KvVersion::V2).unwrap_err().to_string(), "path is already in use at secret/");
        let core = started(&store);
        core.unseal(&key).unwrap();
        let mount = core.unsealed().unwrap().mounts.at("secret/").unwrap();
        assert_eq!((mount.kind, mount.entry.tune.options.as_ref().unwrap()["version"].as_str()), ("kv", "2"));
    }

    #[test]
    fn the_dev_token_is_the_wanted_one_or_that_of_the_last_start() {
        let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
        let core = started(&store);
        core.initialise(&key).unwrap();
        let check = |core: &Core, wanted: Option<&str>, expected: Option<&str>| {
            let token = core.dev_root_token(wanted).unwrap();
            assert!(expected.is_none_or(|expected| token.expose() == expected), "{wanted:?}");
            let active = core.unsealed().unwrap();
            let caller = active.tokens.look_up(&active.platform.view(&Horizon::default()), &token, core.clock.now());
            assert!(caller.unwrap().unwrap().acl().is_root());
            token.expose().to_owned()
        };
        let first = check(&core, None, None);
        assert!(first.starts_with("hvs."));
        check(&core, None, Some(&first));
        let core = started(&store);
        core.unseal(&key).unwrap();
        check(&core, None, Some(&first));
        check(&core, Some("mine"), Some("mine"));
        check(&core, None, Some("mine"));
        check(&core, Some(&first), Some(&first));
    }
}

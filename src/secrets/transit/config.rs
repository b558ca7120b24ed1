//! Settings of one mount: whether encrypting makes keys, and how many keys clients want kept in memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Transit;
use crate::api::{Error, Reply};
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint};

/// Shows how keys come to be.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadKeysConfig {}

/// Decides how keys come to be.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteKeysConfig {
    /// Whether encrypting with a key that does not exist is refused.
    #[serde(default)]
    disable_upsert: bool,
}

/// Shows the size of the cache that was asked for.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadCacheConfig {}

/// Takes note of a size of the cache: 0, or 10 and more. The cache is bounded by the memory that it takes, for all mounts
/// together.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteCacheConfig {
    /// How many keys.
    #[serde(default)]
    size: i64,
}

impl Endpoint for ReadKeysConfig {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(show_keys_config(&read(&call.view()?, KEYS_CONFIG)?))
    }
}

impl Endpoint for WriteKeysConfig {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let config = KeysConfig { disable_upsert: self.disable_upsert };
        write(&call.view()?, KEYS_CONFIG, &config)?;
        Ok(show_keys_config(&config))
    }
}

impl Endpoint for ReadCacheConfig {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(show_cache_config(&read(&call.view()?, CACHE_CONFIG)?))
    }
}

impl Endpoint for WriteCacheConfig {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        if !matches!(self.size, 0 | CACHE_SIZE_MIN..) {
            return Err(Error::invalid(format!("size must be 0 or a value greater or equal to {CACHE_SIZE_MIN}")));
        }
        let config = CacheConfig { size: self.size };
        write(&call.view()?, CACHE_CONFIG, &config)?;
        Ok(show_cache_config(&config))
    }
}

/// Whether encrypting with a key that does not exist is refused.
pub(super) fn upsert_disabled(view: &View<'_>) -> Result<bool, Error> {
    Ok(read::<KeysConfig>(view, KEYS_CONFIG)?.disable_upsert)
}

fn read<T: Stored + Default>(view: &View<'_>, path: &str) -> Result<T, Error> {
    Ok(view.get(path)?.map(|found| found.value).unwrap_or_default())
}

fn write<T: Stored>(view: &View<'_>, path: &str, value: &T) -> Result<(), Error> {
    let mut change = view.change();
    change.put(path, value)?;
    change.commit()?;
    Ok(())
}

fn show_keys_config(config: &KeysConfig) -> Reply {
    Reply::object(|data| {
        data.set("disable_upsert", config.disable_upsert);
    })
}

fn show_cache_config(config: &CacheConfig) -> Reply {
    Reply::object(|data| {
        data.set("size", config.size);
    })
}

// === stored forms ===

#[derive(Default, Serialize, Deserialize)]
struct KeysConfig {
    disable_upsert: bool,
}

impl Stored for KeysConfig {
    const VERSION: u8 = 1;
}

#[derive(Default, Serialize, Deserialize)]
struct CacheConfig {
    size: i64,
}

impl Stored for CacheConfig {
    const VERSION: u8 = 1;
}

const KEYS_CONFIG: &str = "config/keys";
const CACHE_CONFIG: &str = "config/cache";
const CACHE_SIZE_MIN: i64 = 10;

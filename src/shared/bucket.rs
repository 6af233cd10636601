//! `Bucket`: objects under a prefix of an object store, or files in a shared folder, asked for without `async`.
//!
//! Whatever goes wrong comes back as one sentence with what to do, and never with a credential in it.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use catgen_api::nearest;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder, local::LocalFileSystem, path::Path as ObjectPath,
};
use once_cell::sync::OnceCell;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use url::Url;

use crate::{Error, error::Result};

/// Objects by name below one address.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// What the name of every object begins with.
    root: ObjectPath,
    /// As people know it.
    address: String,
    runtime: OnceCell<Runtime>,
    asked: Asked,
}

/// How often it was asked for what; requests are what object stores are paid by.
#[derive(Debug, Default)]
struct Asked {
    list: AtomicU64,
    get: AtomicU64,
    put: AtomicU64,
}

/// Requests made so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Requests {
    /// Pages of lists.
    pub list: u64,
    /// Objects or ranges of them that were read.
    pub get: u64,
    /// Objects that were written.
    pub put: u64,
}

/// What can stand before `://`.
const SCHEMES: &[&str] = &["file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// A request is tried again, with growing pauses, while the network or the server fails: so often, and for so long.
const RETRIES: usize = 5;
const RETRY_FOR: Duration = Duration::from_secs(45);

impl Bucket {
    /// The objects below `address`. Asks nothing yet; a shared folder must be there.
    ///
    /// # Errors
    /// An address that is none, or a folder that is not there.
    pub(crate) fn open(address: &str) -> Result<Self> {
        let wrong = |what: String, hint: &str| Error::Usage { what, hint: hint.to_owned() };
        let form = "write it as s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///a/shared/folder";
        let url = Url::parse(address).map_err(|error| wrong(format!("the shared cache {address:?} is no address: {error}"), form))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            let what = "the address of a shared cache holds no name, password or token".to_owned();
            return Err(wrong(what, "credentials are taken from the environment, such as AWS_ACCESS_KEY_ID; see docs/scale.md"));
        }
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
        let plain = |variable: &str| std::env::var(variable).is_ok_and(|endpoint| endpoint.starts_with("http://"));
        let build = |built: object_store::Result<Arc<dyn ObjectStore>>| {
            built.map_err(|error| wrong(format!("the shared cache {address} cannot be used: {}", words(&error)), form))
        };
        let (store, root): (Arc<dyn ObjectStore>, _) = match url.scheme() {
            "file" => {
                let folder = url.to_file_path().map_err(|()| wrong(format!("{address:?} is no folder of this machine"), form))?;
                return Self::in_folder(folder, address);
            }
            "s3" | "s3a" => {
                encrypt();
                let http = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].into_iter().any(plain);
                let mut builder = AmazonS3Builder::from_env().with_url(address).with_retry(retry);
                if http {
                    builder = builder.with_allow_http(true);
                }
                (build(builder.build().map(|store| Arc::new(store) as _))?, url.path())
            }
            "gs" => {
                encrypt();
                let builder = GoogleCloudStorageBuilder::from_env().with_url(address).with_retry(retry);
                (build(builder.build().map(|store| Arc::new(store) as _))?, url.path())
            }
            "az" | "azure" | "abfs" | "abfss" => {
                encrypt();
                let mut builder = MicrosoftAzureBuilder::from_env().with_url(address).with_retry(retry);
                if plain("AZURE_STORAGE_ENDPOINT") {
                    builder = builder.with_allow_http(true);
                }
                (build(builder.build().map(|store| Arc::new(store) as _))?, url.path())
            }
            other => {
                let near = nearest(other, SCHEMES.iter().copied()).map_or(String::new(), |near| format!("; did you mean {near}://?"));
                return Err(wrong(format!("a shared cache cannot be at {other}://{near}"), form));
            }
        };
        let root = ObjectPath::from_url_path(root).map_err(|error| wrong(format!("{address:?}: {error}"), form))?;
        Ok(Self::of(store, root, address))
    }

    fn in_folder(folder: PathBuf, address: &str) -> Result<Self> {
        let gone = |why: &dyn std::fmt::Display| Error::Usage {
            what: format!("the folder of the shared cache, {}, cannot be used: {why}", folder.display()),
            hint: "make that folder, or bring back the disk or network drive that it is on".to_owned(),
        };
        if !folder.is_dir() {
            return Err(gone(&"it is not there"));
        }
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| gone(&words(&error)))?;
        Ok(Self::of(Arc::new(store), ObjectPath::default(), address))
    }

    fn of(store: Arc<dyn ObjectStore>, root: ObjectPath, address: &str) -> Self {
        Self { store, root, address: address.trim_end_matches('/').to_owned(), runtime: OnceCell::new(), asked: Asked::default() }
    }

    /// How often it was asked so far.
    pub(crate) fn requests(&self) -> Requests {
        let Asked { list, get, put } = &self.asked;
        let [list, get, put] = [list, get, put].map(|count| count.load(Ordering::Relaxed));
        Requests { list, get, put }
    }

    /// The names below a folder, with their sizes in bytes.
    ///
    /// # Errors
    /// [`Error::Shared`].
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let path = self.path(folder);
        let listed = self.runtime()?.block_on(self.store.list(Some(&path)).collect::<object_store::Result<Vec<_>>>());
        let listed = match listed {
            // A folder that nobody put anything into yet. Of a bucket that is not there, an object store says so by name.
            Err(object_store::Error::NotFound { source, .. }) if !source.to_string().contains(NO_BUCKET) => Vec::new(),
            listed => listed.map_err(|error| self.failed("be listed", &error))?,
        };
        // So many names come on a page.
        self.asked.list.fetch_add(1 + listed.len() as u64 / 1000, Ordering::Relaxed);
        let named = |object: object_store::ObjectMeta| Some((object.location.filename()?.to_owned(), object.size));
        Ok(listed.into_iter().filter_map(named).collect())
    }

    /// An object; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Shared`].
    pub(crate) fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.asked.get.fetch_add(1, Ordering::Relaxed);
        let path = self.path(name);
        let got = self.runtime()?.block_on(async { self.store.get(&path).await?.bytes().await });
        self.there(got.map(|bytes| bytes.to_vec()))
    }

    /// Parts of an object, in the order in which they are asked for; `None` if it is not there, or shorter than that.
    ///
    /// # Errors
    /// [`Error::Shared`].
    pub(crate) fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Option<Vec<Vec<u8>>>> {
        self.asked.get.fetch_add(1, Ordering::Relaxed);
        let path = self.path(name);
        let got = self.runtime()?.block_on(self.store.get_ranges(&path, ranges));
        let got = self.there(got.map(|parts| parts.into_iter().map(|part| part.to_vec()).collect::<Vec<_>>()))?;
        Ok(got.filter(|parts| parts.iter().zip(ranges).all(|(part, range)| part.len() as u64 == range.end - range.start)))
    }

    /// Puts an object where none is; answers false, and changes nothing, where one is.
    ///
    /// # Errors
    /// [`Error::Shared`]; [`Error::Io`] where the disk of a shared folder is full.
    pub(crate) fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        self.asked.put.fetch_add(1, Ordering::Relaxed);
        let path = self.path(name);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime()?.block_on(self.store.put_opts(&path, bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("be written to", &error)),
        }
    }

    fn path(&self, name: &str) -> ObjectPath {
        name.split('/').fold(self.root.clone(), |path, part| path.join(part))
    }

    /// Made when something is first asked: opening a workspace starts no threads.
    fn runtime(&self) -> Result<&Runtime> {
        let start = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        self.runtime.get_or_try_init(|| start().map_err(Error::io("start threads for", &self.address)))
    }

    fn there<T>(&self, got: object_store::Result<T>) -> Result<Option<T>> {
        match got {
            Ok(got) => Ok(Some(got)),
            Err(object_store::Error::NotFound { source, .. }) if !source.to_string().contains(NO_BUCKET) => Ok(None),
            // Asked for what lies behind its end: somebody cut it short.
            Err(error) if words(&error).contains("InvalidRange") || words(&error).contains("Out of range") => Ok(None),
            Err(error) => Err(self.failed("be read", &error)),
        }
    }

    fn failed(&self, doing: &str, error: &object_store::Error) -> Error {
        use object_store::Error as Store;
        let (address, said) = (&self.address, words(error));
        if let Some(kind) = io_kind(error).filter(|kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return Error::Io { doing: "write", path: PathBuf::from(address.trim_start_matches("file://")), source: kind.into() };
        }
        let refused = |why: &str, hint: &str| Error::Shared {
            what: format!("the shared cache {address} cannot {doing}: {why}"),
            hint: hint.to_owned(),
            is_away: false,
        };
        let has = |word: &str| said.contains(word);
        if has(NO_BUCKET) || has("ContainerNotFound") || has("The specified bucket does not exist") {
            return refused("there is no such bucket", "make the bucket, or correct `remote` in pipeline.toml");
        }
        let denied = matches!(error, Store::PermissionDenied { .. } | Store::Unauthenticated { .. })
            || ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403 Forbidden", "401 Unauthorized"].into_iter().any(has);
        if denied {
            let hint = "check the credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                        GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY), and what they allow";
            return refused("the credentials are refused", hint);
        }
        Error::Shared {
            what: format!("the shared cache {address} cannot {doing}: {said}"),
            hint: "check the network, and the address of the server (for S3 that is not Amazon's: AWS_ENDPOINT_URL)".to_owned(),
            is_away: true,
        }
    }
}

/// What S3 answers where a bucket is not there.
const NO_BUCKET: &str = "NoSuchBucket";

/// Chooses who encrypts, once for the process: a second choice is refused, and the first one is as good.
fn encrypt() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An error with what caused it, on one line, without what stands behind a `?` of an address: it may be a signature.
fn words(error: &object_store::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_said = inner.to_string();
        if !said.contains(&inner_said) {
            said = format!("{said}: {inner_said}");
        }
        cause = inner.source();
    }
    let plain = said.split_whitespace().map(|word| match word.split_once('?') {
        Some((before, _)) if before.contains("://") => before,
        _ => word,
    });
    let plain = plain.collect::<Vec<_>>().join(" ");
    match plain.char_indices().nth(400) {
        Some((end, _)) => format!("{} …", &plain[..end]),
        None => plain,
    }
}

/// What the file system said, where it was that.
fn io_kind(error: &object_store::Error) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_bucket() -> (tempfile::TempDir, Bucket) {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(Url::from_directory_path(folder.path()).unwrap().as_str()).unwrap();
        (folder, bucket)
    }

    #[test]
    fn what_was_put_is_found_and_never_replaced() {
        let (_folder, bucket) = folder_bucket();
        assert_eq!((bucket.list("packs").unwrap(), bucket.get("packs/a").unwrap()), (Vec::new(), None));
        assert!(bucket.create("packs/a", b"cat".to_vec()).unwrap());
        assert!(!bucket.create("packs/a", b"dog".to_vec()).unwrap());
        assert_eq!(bucket.get("packs/a").unwrap().as_deref(), Some(&b"cat"[..]));
        assert_eq!(bucket.list("packs").unwrap(), [("a".to_owned(), 3)]);
        let ranges = |name: &str, ranges: [Range<u64>; 2]| bucket.get_ranges(name, &ranges).unwrap();
        assert_eq!(ranges("packs/a", [2..3, 0..1]), Some(vec![b"t".to_vec(), b"c".to_vec()]));
        assert_eq!(ranges("packs/a", [0..1, 2..9]), None, "an object that is too short counts as gone");
        assert_eq!(ranges("packs/b", [0..1, 1..2]), None);
        assert_eq!(bucket.requests(), Requests { list: 2, get: 5, put: 2 });
    }

    #[test]
    fn an_address_that_is_none_says_what_one_looks_like() {
        for (address, says) in [
            ("my-bucket", "is no address"),
            ("s4://bucket", "did you mean s3://?"),
            ("s3://key:secret@bucket/cats", "holds no name, password or token"),
            ("az://container/cats?sig=secret", "holds no name, password or token"),
            ("file:///there/is/no/such/folder", "it is not there"),
        ] {
            let error = Bucket::open(address).unwrap_err();
            assert!(error.to_string().contains(says), "{address}: {error}");
            assert!(!error.to_string().contains("secret") && error.hint().is_some() && error.exit_code() == 2, "{address}: {error}");
        }
    }

    #[test]
    fn a_signature_in_an_address_is_not_repeated() {
        let source = io::Error::other("GET https://there/cats?sig=secret&x=1 (500)").into();
        let said = words(&object_store::Error::Generic { store: "test", source });
        assert!(said.contains("https://there/cats") && !said.contains("secret"), "{said}");
    }
}

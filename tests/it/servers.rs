//! Real servers for tests: a Slurm cluster whose nodes are all this machine, and an S3 server. Each ends with its value.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use crate::home::wait_until;

/// A program on the `PATH`, or where Debian puts those for administrators.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Ports that nobody listens on.
fn free_ports(count: usize) -> Vec<u16> {
    let taken: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Four ports that nobody listens on, with those that are 10,000 higher, for gRPC. Not of those that connections are given, which may be
/// taken by the time the server starts.
fn s3_ports() -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 6_000) as u16;
    let candidates = std::iter::repeat_with(|| 11_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 9_000);
    let is_free = |port: &u16| [*port, *port + 10_000].into_iter().all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    candidates.filter(is_free).take(4).collect()
}

/// A process that ends with this value.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Slurm cluster: its controller and its nodes `n1`, `n2`, … are processes of this machine.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    _munged: Server,
    controller: Option<Server>,
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts it, with so many processors a node; `None`, with a word about it, where Slurm is not there or may not run.
    pub(crate) fn start(test: &str, nodes: usize, cpus: usize) -> Option<Self> {
        let programs = ["munged", "slurmctld", "slurmd", "sbatch", "squeue"];
        if let Some(missing) = programs.iter().find(|name| program(name).is_none()) {
            eprintln!("skipped: {test} needs Slurm (`make cluster` as root on Debian): there is no {missing}");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: {test} needs to be root to start a Slurm cluster");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "munge", "log", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        (1..=nodes).for_each(|node| fs::create_dir_all(folder.path().join(format!("spool/n{node}"))).unwrap());
        fs::write(folder.path().join("slurm.conf"), conf(folder.path(), nodes, cpus)).unwrap();
        // A graphics processor as Slurm sees one: a device file.
        fs::write(folder.path().join("gres.conf"), "NodeName=n1 Name=gpu File=/dev/null\n").unwrap();
        let munged = munged(folder.path());
        let mut cluster = Self { folder, _munged: munged, controller: None, nodes: Vec::new() };
        cluster.start_controller();
        for node in 1..=nodes {
            let server = cluster.node(node);
            cluster.nodes.push(server);
        }
        wait_until("the nodes come up", || cluster.ask("sinfo", &["-h", "-N", "-p", "cats", "-o", "%T"]).matches("idle").count() == nodes);
        Some(cluster)
    }

    /// Makes a command submit to this cluster.
    pub(crate) fn on<'c>(&self, command: &'c mut assert_cmd::Command) -> &'c mut assert_cmd::Command {
        command.env("SLURM_CONF", self.conf())
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// What one of Slurm's commands prints.
    pub(crate) fn ask(&self, name: &str, args: &[&str]) -> String {
        let output = Command::new(name).args(args).env("SLURM_CONF", self.conf()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn start_controller(&mut self) {
        let mut command = Command::new(program("slurmctld").unwrap());
        let server = Server::start(command.args(["-D", "-f"]).arg(self.conf()), &self.folder.path().join("log/slurmctld"));
        self.controller = Some(server);
    }

    /// `kill -9` of the controller: it forgets what it did not write down.
    pub(crate) fn kill_controller(&mut self) {
        self.controller.take().unwrap().kill();
    }

    /// `kill -9` of a node, counted from 1, with everything that runs on it.
    pub(crate) fn kill_node(&mut self, node: usize) {
        let jobs = self.ask("squeue", &["-h", "-r", "-w", &format!("n{node}"), "-t", "R", "-o", "%A"]);
        let jobs: Vec<String> = jobs.lines().map(|job| format!("[{}.", job.trim())).collect();
        self.nodes[node - 1].kill();
        let processes = || fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let parent = |pid: i32| -> Option<i32> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
        };
        // Who looks after a job names it on its command line; below it is the job.
        let looks_after = |pid: &i32| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.starts_with("slurmstepd") && jobs.iter().any(|job| words.contains(job))
        };
        let mut doomed: Vec<i32> = processes().filter(looks_after).collect();
        let mut at = 0;
        while at < doomed.len() {
            let found: Vec<i32> = processes().filter(|pid| parent(*pid) == Some(doomed[at])).collect();
            doomed.extend(found);
            at += 1;
        }
        for pid in doomed.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
            // One may have ended in the meantime.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        assert!(!doomed.is_empty(), "nothing ran on n{node}");
    }

    fn node(&self, node: usize) -> Server {
        let mut command = Command::new(program("slurmd").unwrap());
        let command = command.args(["-D", "-N", &format!("n{node}"), "-f"]).arg(self.conf());
        Server::start(command, &self.folder.path().join(format!("log/slurmd.n{node}")))
    }
}

impl Drop for Cluster {
    /// Jobs first: what a node started does not end with it.
    fn drop(&mut self) {
        if self.controller.is_some() {
            self.ask("scancel", &["--user=root"]);
            let end = Instant::now() + Duration::from_secs(10);
            while !self.ask("squeue", &["-h"]).trim().is_empty() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

fn munged(folder: &Path) -> Server {
    use std::os::unix::fs::PermissionsExt;
    let munge = folder.join("munge");
    // It wants nobody else to read its key, and everybody to reach its socket.
    for (path, mode) in [(folder, 0o755), (&munge, 0o711)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let key = munge.join("key");
    let mut secret = Vec::new();
    (0..32_u64).for_each(|n| {
        secret.extend(catgen_api::Digest::of(&[std::process::id().to_le_bytes().as_slice(), &n.to_le_bytes()].concat()).as_bytes())
    });
    fs::write(&key, secret).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let with = |name: &str, file: &str| format!("--{name}={}", munge.join(file).display());
    let mut command = Command::new(program("munged").unwrap());
    command.args(["--foreground", "--force", "--num-threads=2"]);
    command.args([
        with("key-file", "key"),
        with("socket", "socket"),
        with("pid-file", "pid"),
        with("log-file", "log"),
        with("seed-file", "seed"),
    ]);
    let server = Server::start(&mut command, &folder.join("log/munged"));
    wait_until("munged listens", || munge.join("socket").exists());
    server
}

fn conf(folder: &Path, nodes: usize, cpus: usize) -> String {
    let ports = free_ports(nodes + 1);
    let host = Command::new("hostname").output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let host = host.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned());
    let host = host.split('.').next().unwrap_or("localhost").to_owned();
    let at = folder.display();
    let mut conf = format!(
        "ClusterName=cats\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nSlurmUser=root\nSlurmdUser=root\n\
         AuthType=auth/munge\nAuthInfo=socket={at}/munge/socket,cred_expire=5\nCredType=cred/munge\n\
         StateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool/%n\nSlurmctldPidFile={at}/run/slurmctld.pid\nSlurmdPidFile={at}/run/%n.pid\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\nMpiDefault=none\nSwitchType=switch/none\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSlurmdParameters=config_overrides\nAccountingStorageType=accounting_storage/none\n\
         SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=1\n\
         SlurmdTimeout=10\nSlurmctldTimeout=10\nInactiveLimit=0\nKillWait=2\nMinJobAge=60\nReturnToService=2\nJobRequeue=1\nGresTypes=gpu\nFirstJobId={}\n",
        ports[0],
        // Jobs are found by their number among the processes of this machine, which may have another such cluster.
        1000 * u32::from(ports[0])
    );
    for (node, port) in (1..=nodes).zip(&ports[1..]) {
        let gpu = if node == 1 { " Gres=gpu:1" } else { "" };
        let at = format!("NodeHostname={host} NodeAddr=127.0.0.1 Port={port}");
        conf += &format!("NodeName=n{node} {at} CPUs={cpus} RealMemory=1000{gpu} State=UNKNOWN\n");
    }
    // Jobs of the second partition take the place of those of the first, who are told twenty seconds before.
    conf + "PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\nSlurmctldParameters=preempt_send_user_signal\n\
            PartitionName=cats Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20\n\
            PartitionName=first Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF\n"
}

/// An S3 server with one bucket, `cats`.
pub(crate) struct S3 {
    _folder: tempfile::TempDir,
    _server: Server,
    port: u16,
}

impl S3 {
    /// Starts it; `None`, with a word about it, where SeaweedFS is not there.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let weed = catgen_pipe::tools::cache_folder().map(|cache| cache.join("seaweedfs/weed")).filter(|path| path.is_file());
        let Some(weed) = weed.or_else(|| program("weed")) else {
            eprintln!("skipped: {test} needs an S3 server (`make cluster`)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let credentials = r#"{"identities": [{"name": "cat", "credentials": [{"accessKey": "the-key", "secretKey": "the-secret"}],
            "actions": ["Admin", "Read", "Write", "List"]}]}"#;
        fs::write(folder.path().join("s3.json"), credentials).unwrap();
        let ports = s3_ports();
        let mut command = Command::new(weed);
        command.arg("server").arg(format!("-dir={}", folder.path().display())).args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]);
        // What listens on a port of its own unless it is told not to, and would be in the way of a second server.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.arg(format!("-s3.config={}", folder.path().join("s3.json").display()));
        for (name, port) in ["master.port", "volume.port", "filer.port", "s3.port"].into_iter().zip(&ports) {
            command.arg(format!("-{name}={port}"));
        }
        let server = Server::start(&mut command, &folder.path().join("log"));
        let s3 = Self { _folder: folder, _server: server, port: ports[3] };
        wait_until("the S3 server listens", || TcpStream::connect(("127.0.0.1", s3.port)).is_ok());
        // It listens before it can store.
        wait_until("the bucket is made", || s3.make_bucket());
        Some(s3)
    }

    /// Gives a command the way to this server.
    pub(crate) fn on<'c>(&self, command: &'c mut assert_cmd::Command) -> &'c mut assert_cmd::Command {
        for name in ["AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN"] {
            command.env_remove(name);
        }
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let pairs = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "the-key"), ("AWS_SECRET_ACCESS_KEY", "the-secret")];
        command.envs(pairs).env("AWS_REGION", "us-east-1")
    }

    fn make_bucket(&self) -> bool {
        // Signed by curl, which every machine with a package manager has.
        let url = format!("http://127.0.0.1:{}/cats", self.port);
        let args = ["--silent", "--fail", "--user", "the-key:the-secret", "--aws-sigv4", "aws:amz:us-east-1:s3", "--request", "PUT", &url];
        Command::new("curl").args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

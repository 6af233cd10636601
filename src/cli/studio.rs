//! `studio`: the local page.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering,
};

use super::{Context, output};
use crate::{
    Result,
    studio::{Options, Studio},
};

/// Serve a local page to see the flow, look at pictures and decide about them; only for this machine unless told otherwise
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The port; 0 lets the system choose
    #[arg(long, default_value_t = 7439)]
    port: u16,
    /// Listen on this address instead of 127.0.0.1: whoever has the printed address can then see your photos
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let listen = args.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let studio = Studio::open(context.workspace()?, Options { listen, port: args.port })?;
    super::stop_on_ctrl_c();
    if context.json {
        output::json(&serde_json::json!({ "url": studio.url() }));
    } else {
        output::line(studio.url());
        say!("open this address in a browser; Ctrl-C ends the studio");
    }
    if !listen.is_loopback() {
        say!(
            "note: the studio listens on {listen}: anybody who gets that address can see your photos, and the connection is not encrypted"
        );
    }
    studio.serve(|| super::STOP.load(Ordering::Relaxed))
}

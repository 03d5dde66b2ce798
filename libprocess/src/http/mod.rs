//! HTTP as actors see it: requests, answers, streaming bodies, and the client.
//!
//! An actor's route gets a [`Request`] and gives a [`Reply`]; it never sees a socket, nor the
//! types of the HTTP server behind (actix-web). A [`Reply`] is an answer that is there, or a future
//! that gives it and runs on the thread that serves the connection, so that rendering a large
//! document does not stop the actor.
//!
//! This module owns the types; its children own the sockets. It knows no actor and no route.

pub mod access;
mod assets;
mod body;
mod client;
mod client_request;
mod codec;
mod connection;
mod described;
mod destination;
pub(crate) mod dispatch;
mod gate;
mod gzip;
mod location;
mod pipeline;
mod pour;
mod proxies;
mod request;
mod response;
pub(crate) mod routes;
mod server;
mod shared;
mod turns;
mod unix;

pub use access::{Principal, Realm};
pub use assets::Assets;
pub use body::{
    Body, BodyReceiver, DEFAULT_STREAM_LIMIT, OPENING_STREAM_LIMIT, StreamError, StreamSender, opened_stream,
    stream,
};
pub use client::{Client, ClientError, ClientResponse};
pub use client_request::ClientRequest;
pub use codec::FramingError;
pub use described::Described;
pub use destination::unix_url;
pub use dispatch::dispatch;
pub(crate) use dispatch::route_path;
pub use pipeline::{Pipeline, PipelineResponse};
pub use pour::Opening;
pub use proxies::Proxies;
pub use request::{Query, Request};
pub use response::{Reply, Response};
pub(crate) use routes::{Endpoint, RouteHandler, Routes, normalize};
pub use server::MAX_REQUEST_BODY;
pub(crate) use server::{Origin, refuse, serve};
pub use shared::SharedBytes;
pub use unix::{MAX_SOCKET_PATH, UnixSocket, UnixSocketError, serve_unix};

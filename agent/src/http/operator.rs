//! The operator API: `POST /api/v1`. Calls about the process, and what runs here; upstream: `Http::api` in `slave/http.cpp`.
//!
//! The checks are in upstream's order, with its status codes and texts: recovery, the method, the media types, the call's
//! form. Calls about containers of operators' own (nested and standalone ones), and those that change resource providers,
//! are answered with 501 and their name: there are none of these yet.

use http::{Method, StatusCode};
use libprocess::Context;
use libprocess::files::Read;
use libprocess::http::{Reply, Request, Response};
use mesos::operator::{self, respond};
use mesos::settings::Declared as _;
use mesos::v1::agent::call::Type;
use mesos::v1::agent::{Call, response};
use mesos::{MediaType, codec, media, v1};

use super::validation::validate;
use super::{containers, v1_state};
use crate::agent::{Agent, Phase};

/// A call, and how its answer is to be encoded: `None` if it is to be a stream of messages.
pub(super) type Asked = (Call, Option<MediaType>);

/// The route; what is asked is what [`read`] has made of the request.
pub(super) fn route(
    agent: &mut Agent,
    request: Request,
    asked: Result<Asked, Response>,
    ctx: &mut Context<Agent>,
) -> Reply {
    answer(agent, &request, asked, ctx).unwrap_or_else(Reply::Now)
}

/// The call in a request. The agent is not asked.
pub(super) fn read(request: &Request) -> Result<Asked, Response> {
    let sent = media_of_call(request)?;
    let media = media_of_answer(request)?;
    let call = codec::decode_agent_call(sent, &request.body)
        .map_err(|error| Response::bad_request(error.to_string()))?;
    Ok((call, media))
}

fn answer(
    agent: &mut Agent,
    request: &Request,
    asked: Result<Asked, Response>,
    ctx: &mut Context<Agent>,
) -> Result<Reply, Response> {
    if agent.phase == Phase::Recovering {
        return Err(Response::service_unavailable("Agent has not finished recovery"));
    }
    if request.method != Method::POST {
        return Err(Response::method_not_allowed_for(&[Method::POST], &request.method));
    }
    let (call, media) = asked?;
    let kind = validate(&call)
        .map_err(|error| Response::bad_request(format!("Failed to validate agent::Call: {error}")))?;
    tracing::info!(call = kind.as_str_name(), "processing an operator's call");
    let media = media.ok_or_else(|| no_stream(kind))?;
    dispatch(agent, kind, call, media, ctx)
}

/// How the call is encoded. Only ATTACH_CONTAINER_INPUT would be a stream of messages.
fn media_of_call(request: &Request) -> Result<MediaType, Response> {
    let name = request.header("Content-Type").unwrap_or_default();
    if name == media::RECORDIO {
        return Err(match request.header("Message-Content-Type").map(MediaType::from_name) {
            None => {
                Response::bad_request("Expecting 'Message-Content-Type' to be set for streaming requests")
            }
            Some(None) => unsupported(
                "Expecting 'Message-Content-Type' of application/json or application/x-protobuf".to_owned(),
            ),
            Some(Some(_)) => not_yet(Type::AttachContainerInput),
        });
    }
    let media = MediaType::of_content(Some(name)).map_err(|error| match error {
        media::ContentTypeError::Missing => Response::bad_request(error.to_string()),
        media::ContentTypeError::Unsupported => unsupported(format!("{error} or {}", media::RECORDIO)),
    })?;
    if request.header("Message-Content-Type").is_some() {
        let text = "Expecting 'Message-Content-Type' to be not set for non-streaming requests";
        return Err(unsupported(text.to_owned()));
    }
    Ok(media)
}

fn unsupported(text: String) -> Response {
    Response::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
}

/// How the answer is to be encoded; `None` if it is to be a stream of messages.
fn media_of_answer(request: &Request) -> Result<Option<MediaType>, Response> {
    let refuse = |text: &str| Err(Response::text(StatusCode::NOT_ACCEPTABLE, text));
    let accept = request.header_list("Accept");
    let of_messages = request.header_list("Message-Accept");
    match MediaType::of_answer(accept.as_deref()) {
        Ok(_) if of_messages.is_some() => {
            refuse("Expecting 'Message-Accept' to be not set for non-streaming responses")
        }
        Ok(media) => Ok(Some(media)),
        Err(_) if !media::accepts(accept.as_deref(), media::RECORDIO) => refuse(
            "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio",
        ),
        Err(_) if MediaType::of_answer(of_messages.as_deref()).is_err() => {
            refuse("Expecting 'Message-Accept' to allow application/json or application/x-protobuf")
        }
        Err(_) => Ok(None),
    }
}

/// The answer to who wants a stream. Two calls would have one.
fn no_stream(kind: Type) -> Response {
    match kind {
        Type::AttachContainerOutput | Type::LaunchNestedContainerSession => not_yet(kind),
        _ => {
            let text = format!("Streaming response is not supported for {} call", kind.as_str_name());
            Response::text(StatusCode::NOT_ACCEPTABLE, text)
        }
    }
}

fn not_yet(kind: Type) -> Response {
    let text = format!("501 Not Implemented: this agent does not know the call {} yet", kind.as_str_name());
    Response::text(StatusCode::NOT_IMPLEMENTED, text)
}

fn of(kind: response::Type) -> v1::agent::Response {
    v1::agent::Response { r#type: Some(kind.into()), ..Default::default() }
}

/// Handles a call. Its form was validated: the part that its type names is there.
fn dispatch(
    agent: &mut Agent,
    kind: Type,
    call: Call,
    media: MediaType,
    ctx: &mut Context<Agent>,
) -> Result<Reply, Response> {
    let response = match kind {
        Type::GetHealth => {
            let get_health = Some(response::GetHealth { healthy: true });
            v1::agent::Response { get_health, ..of(response::Type::GetHealth) }
        }
        Type::GetFlags => {
            let flags = operator::flags(&agent.settings.effective());
            let get_flags = Some(response::GetFlags { flags });
            v1::agent::Response { get_flags, ..of(response::Type::GetFlags) }
        }
        Type::GetVersion => {
            let get_version = Some(response::GetVersion { version_info: operator::version_info() });
            v1::agent::Response { get_version, ..of(response::Type::GetVersion) }
        }
        Type::GetOperations => {
            let get_operations = Some(response::GetOperations { operations: agent.operations.protos() });
            v1::agent::Response { get_operations, ..of(response::Type::GetOperations) }
        }
        Type::GetAgent => {
            let get_agent = Some(v1_state::agent(agent));
            v1::agent::Response { get_agent, ..of(response::Type::GetAgent) }
        }
        Type::GetResourceProviders => {
            let get_resource_providers = Some(response::GetResourceProviders::default());
            v1::agent::Response { get_resource_providers, ..of(response::Type::GetResourceProviders) }
        }
        Type::GetState | Type::GetFrameworks | Type::GetExecutors | Type::GetTasks => {
            let snapshot = agent.snapshot(ctx);
            let things = snapshot.size();
            let make = move || v1_state::answer(&snapshot, kind, media);
            return Ok(Reply::render_many(ctx.node(), things, make));
        }
        Type::GetContainers => return Ok(containers::get_containers(agent, media)),
        Type::GetMetrics => return Ok(metrics(call, media, ctx)),
        Type::GetLoggingLevel => return Ok(logging_level(media, ctx)),
        Type::SetLoggingLevel => {
            let call = call.set_logging_level.unwrap_or_default();
            return Ok(operator::set_logging_level(ctx.node(), call.level, &call.duration));
        }
        Type::ListFiles | Type::ReadFile => return Ok(files(agent, kind, call, media, ctx)),
        // There are no images that could be removed.
        Type::PruneImages => return Ok(Response::new(StatusCode::OK).into()),
        Type::Unknown => return Err(Response::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented.")),
        other => return Err(not_yet(other)),
    };
    Ok(respond(media, &response).into())
}

fn metrics(call: Call, media: MediaType, ctx: &Context<Agent>) -> Reply {
    let timeout = call.get_metrics.unwrap_or_default().timeout;
    operator::metrics(ctx.node(), timeout, move |metrics| {
        let get_metrics = Some(response::GetMetrics { metrics });
        respond(media, &v1::agent::Response { get_metrics, ..of(response::Type::GetMetrics) })
    })
}

fn logging_level(media: MediaType, ctx: &Context<Agent>) -> Reply {
    operator::logging_level(ctx.node(), move |level| {
        let get_logging_level = Some(response::GetLoggingLevel { level });
        respond(media, &v1::agent::Response { get_logging_level, ..of(response::Type::GetLoggingLevel) })
    })
}

/// LIST_FILES and READ_FILE: the log, and sandboxes.
fn files(agent: &Agent, kind: Type, call: Call, media: MediaType, ctx: &Context<Agent>) -> Reply {
    let Some(files) = &agent.colleagues.files else {
        return Response::text(StatusCode::NOT_FOUND, "").into();
    };
    if kind == Type::ListFiles {
        let path = call.list_files.unwrap_or_default().path;
        return operator::list_files(ctx.node(), files, path, move |file_infos| {
            let list_files = Some(response::ListFiles { file_infos });
            respond(media, &v1::agent::Response { list_files, ..of(response::Type::ListFiles) })
        });
    }
    let call = call.read_file.unwrap_or_default();
    let piece = Read { path: call.path, offset: call.offset, length: call.length };
    operator::read_file(files, piece, move |size, data| {
        let read_file = Some(response::ReadFile { size, data });
        respond(media, &v1::agent::Response { read_file, ..of(response::Type::ReadFile) })
    })
}

//! `POST /api/v1/executor`: the API that executors speak, as HTTP.
//!
//! Here a request becomes a call, and what is wrong with it an answer with upstream's status and
//! text (`Http::executor` in `slave/http.cpp`). What the calls mean is in `subscribe.rs`,
//! `tasks/update.rs` and `frameworks.rs`.

use libprocess::http::{Reply, Request, Response};
use libprocess::{Context, Handle, Pid, Recipient};
use mesos::media::ContentTypeError;
use mesos::tasks::status_update;
use mesos::v1::executor::{Call, call};
use mesos::{ExecutorId, FrameworkId, MediaType, codec, media};

use super::connection::{Connection, LocalEvent};
use super::executor::ExecutorPhase;
use super::validation::validate;
use crate::agent::{Agent, Phase};
use crate::status_updates::manager::Origin;

/// A call of an executor inside this process (the simulated container).
pub struct ExecutorCall {
    /// The call.
    pub call: Call,
    /// Where its events go; needed with `SUBSCRIBE`.
    pub events: Recipient<LocalEvent>,
}

libprocess::messages! { ExecutorCall; }

const RECOVERING: &str = "Agent has not finished recovery";

/// The route; its call is what [`read`] has made of the request.
pub(crate) fn route(
    agent: &mut Agent,
    request: Request,
    call: Result<Call, Response>,
    ctx: &mut Context<Agent>,
) -> Reply {
    answer(agent, &request, call, ctx).unwrap_or_else(|refusal| refusal).into()
}

/// The answer to a request; `Err` if it goes wrong.
fn answer(
    agent: &mut Agent,
    request: &Request,
    call: Result<Call, Response>,
    ctx: &mut Context<Agent>,
) -> Result<Response, Response> {
    if !agent.executors_welcome {
        return Err(Response::service_unavailable(RECOVERING));
    }
    let call = call?;
    let kind = validate(&call)
        .map_err(|error| Response::bad_request(format!("Failed to validate Executor::Call: {error}")))?;
    let accepted = media::MediaType::of_answer(request.header_list("accept").as_deref());
    match kind {
        call::Type::Subscribe => {
            let media = accepted
                .map_err(|refused| Response::text(http::StatusCode::NOT_ACCEPTABLE, refused.to_string()))?;
            agent.find(&call)?;
            let (sender, body) = libprocess::http::stream();
            agent.subscribe(call, Connection::Http { sender, media }, ctx);
            Ok(Response::streaming(media.as_str(), body))
        }
        // Without a look at its ids, which executors may make up.
        call::Type::Heartbeat => Ok(Response::accepted()),
        // Also while this agent recovers, from those who have found it again. Upstream answers 503 until it has recovered,
        // and no executor sends an update again that was answered so: found by simulation.
        kind => {
            let phase = agent.find(&call)?;
            if phase == ExecutorPhase::Registering {
                return Err(if agent.phase == Phase::Recovering {
                    Response::service_unavailable(RECOVERING)
                } else {
                    Response::forbidden("Executor is not subscribed")
                });
            }
            match kind {
                call::Type::Unknown => {
                    Err(Response::text(http::StatusCode::NOT_IMPLEMENTED, "501 Not Implemented."))
                }
                _ => {
                    agent.take_call(kind, call, ctx);
                    Ok(Response::accepted())
                }
            }
        }
    }
}

/// The call that a request carries. The agent is not asked.
pub(crate) fn read(request: &Request) -> Result<Call, Response> {
    let media = MediaType::of_content(request.header("content-type")).map_err(|error| {
        let status = http::StatusCode::from_u16(error.status());
        Response::text(status.unwrap_or(http::StatusCode::BAD_REQUEST), content_type_text(error))
    })?;
    codec::decode_call(media, &request.body).map_err(|error| Response::bad_request(error.to_string()))
}

fn content_type_text(error: ContentTypeError) -> String {
    error.to_string()
}

impl Agent {
    /// The phase of the executor that a call comes from.
    fn find(&self, call: &Call) -> Result<ExecutorPhase, Response> {
        let framework = self
            .frameworks
            .get(call.framework_id.value.as_str())
            .ok_or_else(|| Response::bad_request("Framework cannot be found"))?;
        let executor = framework
            .executors
            .get(call.executor_id.value.as_str())
            .ok_or_else(|| Response::bad_request("Executor cannot be found"))?;
        Ok(executor.phase)
    }

    /// Does what a valid call of a subscribed executor asks for.
    fn take_call(&mut self, kind: call::Type, call: Call, ctx: &mut Context<Self>) {
        let executor = ExecutorId::from(&call.executor_id);
        match kind {
            call::Type::Update => {
                if let Some(update) = call.update {
                    let framework = FrameworkId::from(&call.framework_id);
                    let agent = self.id.as_ref();
                    let update = status_update(&framework, update.status, agent, ctx.now());
                    self.status_update(update, Origin::Executor(executor), ctx);
                }
            }
            call::Type::Message => {
                if let Some(message) = call.message {
                    let framework = FrameworkId::from(&call.framework_id);
                    self.executor_message(&framework, &executor, message.data, ctx);
                }
            }
            call::Type::Subscribe | call::Type::Heartbeat | call::Type::Unknown => {}
        }
    }
}

impl Handle<ExecutorCall> for Agent {
    fn handle(&mut self, message: ExecutorCall, _: &Pid, ctx: &mut Context<Self>) {
        let ExecutorCall { call, events } = message;
        let welcome = self.executors_welcome && self.find(&call).is_ok();
        match validate(&call) {
            Ok(call::Type::Subscribe) if welcome => {
                self.subscribe(call, Connection::Local(events), ctx);
            }
            Ok(kind) if welcome => self.take_call(kind, call, ctx),
            refused => tracing::warn!(?refused, "ignoring a call of an executor in this process"),
        }
    }
}

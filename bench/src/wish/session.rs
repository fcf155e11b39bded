//! One member's session: the offer that opens it, and the DELETE that ends it.

use anyhow::{Context as _, Result, bail, ensure};
use hyper::header::LOCATION;
use hyper::{Method, StatusCode};
use url::{Host, Url};

use crate::wish::http::{Access, Ask, Reply};

/// A session that was answered.
#[derive(Clone, Debug)]
pub struct Session {
    access: Access,
    /// Where it ends, or why it cannot be ended over HTTP.
    resource: Result<Url, String>,
    bearer: Option<String>,
}

impl Session {
    /// Posts the offer, follows 307 and 308 (RFC 9725 section 4.5), and returns the session with the answer.
    ///
    /// The token goes along to the same host only, whatever its port, and what is asked over TLS is never asked without.
    ///
    /// # Errors
    /// No server, a refusal with its code, or what is no answer to an offer.
    pub async fn open(
        access: Access,
        url: Url,
        bearer: Option<String>,
        offer: &str,
    ) -> Result<(Self, String)> {
        let mut url = url;
        let mut bearer = bearer;
        for _ in 0..=MOST_REDIRECTS {
            let ask = Ask { method: Method::POST, url: &url, bearer: bearer.as_deref(), offer: Some(offer) };
            let reply = access.ask(ask).await?;
            match reply.status {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    let to =
                        location(&url, &reply)?.with_context(|| format!("{url} redirects to nowhere"))?;
                    bearer = bearer.filter(|_| same_host(&url, &to));
                    url = to;
                }
                StatusCode::CREATED => {
                    ensure!(
                        reply.is_sdp() || reply.body.starts_with("v=0"),
                        "{url} answered 201 without a session description"
                    );
                    let resource = location(&url, &reply)
                        .and_then(|to| to.context("the server's 201 had no Location: nothing can be DELETEd"))
                        .map_err(|error| format!("{error:#}"));
                    let bearer = bearer.filter(|_| resource.as_ref().is_ok_and(|to| same_host(&url, to)));
                    return Ok((Self { access, resource, bearer }, reply.body));
                }
                _ => bail!(refused(&url, &reply)),
            }
        }
        bail!("{url} redirects more than {MOST_REDIRECTS} times")
    }

    /// Ends the session.
    ///
    /// # Errors
    /// A server that named no resource that can be asked, does not know it any more, or does not answer.
    pub async fn end(&self) -> Result<()> {
        let url = self.resource.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let ask = Ask { method: Method::DELETE, url, bearer: self.bearer.as_deref(), offer: None };
        let reply = self.access.ask(ask).await?;
        ensure!(reply.status.is_success(), "DELETE {url} was answered {}", reply.refusal());
        Ok(())
    }
}

/// Where a reply to a request at `url` points; both forms of address are known (RFC 9110 section 10.2.2).
///
/// # Errors
/// No address, or one that leads from TLS to where there is none.
fn location(url: &Url, reply: &Reply) -> Result<Option<Url>> {
    let Some(text) = reply.header(LOCATION) else { return Ok(None) };
    let to = url.join(text).with_context(|| format!("the Location {text} is no address"))?;
    ensure!(
        url.scheme() != "https" || to.scheme() == "https",
        "the Location {text} is not https://, and {url} is"
    );
    Ok(Some(to))
}

fn same_host(one: &Url, other: &Url) -> bool {
    let local = |url: &Url| match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let as_secret = one.scheme() == other.scheme() || other.scheme() == "https";
    as_secret && (one.host() == other.host() || local(one) && local(other))
}

fn refused(url: &Url, reply: &Reply) -> String {
    match reply.status {
        StatusCode::NOT_ACCEPTABLE if reply.is_sdp() => format!(
            "{url} answered 406 with an offer of its own; the bench makes the offers and takes answers only"
        ),
        status if status.is_redirection() => {
            format!(
                "{url} answered {}: only 307 and 308 keep a POST one (RFC 9110 section 15.4)",
                status.as_u16()
            )
        }
        status if status.is_success() => {
            format!("{url} answered {}, where WHIP and WHEP answer 201", status.as_u16())
        }
        _ => format!("{url} refused the offer: {}", reply.refusal()),
    }
}

const MOST_REDIRECTS: usize = 5;

#[cfg(test)]
mod tests;

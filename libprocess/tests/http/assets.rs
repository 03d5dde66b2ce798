//! Files that are part of the program, over HTTP.

use libprocess::http::Assets;

use super::*;

/// An actor with pages.
struct Site;

impl Process for Site {
    const NAME: &'static str = "site";

    fn install(install: &mut Install<Self>) {
        let pages = [("index.html", "<p>home"), ("app/app.js", "run();"), ("app/index.html", "<p>app")];
        install.provide("/", "The pages.\n", Assets::directory(pages));
        let style = "p { color: green }\n".repeat(100);
        install.provide("/style.css", "The style.\n", Assets::file("text/css", style));
        install.get("/state", "The state.\n", |_, _, _| Response::json("{}").into());
    }
}

#[test]
fn files_of_the_program_are_served_beside_the_actors_routes() {
    libprocess::run(async {
        let builder = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let node = builder.delegate("site").start().await.unwrap();
        node.spawn(Site);
        let request =
            |method, path: &str| ClientRequest::new(method, format!("http://{}{path}", node.address()));
        let send = async |request| node.client().send(request).await.unwrap();
        let get = async |path| send(request(Method::GET, path)).await.text(10_000).await.unwrap();

        for (path, body) in [
            ("/", "<p>home"),
            ("/site", "<p>home"),
            ("/site/", "<p>home"),
            ("/index.html", "<p>home"),
            ("/app/", "<p>app"),
            ("/app/app.js", "run();"),
            ("/site/app/app.js", "run();"),
            ("/state", "{}"),
            ("/state/more", "{}"),
            ("/style.css/x", "404 Not Found."),
            ("/nothing", "404 Not Found."),
        ] {
            assert_eq!(get(path).await, body, "{path}");
        }
        assert_eq!(send(request(Method::POST, "/app/app.js")).await.status.as_u16(), 405);

        // HEAD says what GET would send.
        let plain = send(request(Method::HEAD, "/style.css")).await;
        assert_eq!(plain.status.as_u16(), 200);
        assert_eq!(plain.header("content-length"), Some("1900"));
        assert_eq!(plain.header("content-type"), Some("text/css"));
        let packed = send(request(Method::GET, "/style.css").header("accept-encoding", "gzip")).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let tag = packed.header("etag").unwrap().to_owned();
        let mut style = String::new();
        let body = packed.bytes(10_000).await.unwrap();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut style).unwrap();
        assert_eq!(style, get("/style.css").await);
        let again = send(request(Method::GET, "/style.css").header("if-none-match", &tag)).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (304, Some(tag.as_str())));
        assert_eq!(again.text(10).await.unwrap(), "");
        // The connection goes on after a 304, which has no body.
        assert_eq!(get("/state").await, "{}");
        node.shutdown().await;
    });
}

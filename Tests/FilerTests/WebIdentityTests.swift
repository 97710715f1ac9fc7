import Filer
import Foundation
import HTTPClient
import Synchronization
import TES
import TaskCore
import Testing

/// STS as https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html shows it, and S3 in the same server.
@Suite("Web identities", .timeLimit(.minutes(5)))
struct WebIdentityTests {
    private static let start: Int64 = 1_800_000_000_000_000

    /// The document's own answer; the session's number stands in its credentials.
    private static func session(_ number: Int, expires: Int64) -> [UInt8] {
        AnswerServer.response(
            """
            <AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
              <AssumeRoleWithWebIdentityResult>
                <SubjectFromWebIdentityToken>amzn1.account.AF6RHO7KZU5XRVQJGXK6HB56KR2A</SubjectFromWebIdentityToken>
                <Audience>client.5498841531868486423.1548@apps.example.com</Audience>
                <AssumedRoleUser>
                  <Arn>arn:aws:sts::123456789012:assumed-role/FederatedWebIdentityRole/app1</Arn>
                  <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:app1</AssumedRoleId>
                </AssumedRoleUser>
                <Credentials>
                  <SessionToken>token-\(number)</SessionToken>
                  <SecretAccessKey>secret-\(number)</SecretAccessKey>
                  <Expiration>\(Timestamp(microseconds: expires).text.prefix(19))Z</Expiration>
                  <AccessKeyId>KEY\(number)</AccessKeyId>
                </Credentials>
                <Provider>www.amazon.com</Provider>
              </AssumeRoleWithWebIdentityResult>
              <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
            </AssumeRoleWithWebIdentityResponse>
            """)
    }

    private static func refusal(_ code: String, _ message: String = "", status: Int) -> [UInt8] {
        AnswerServer.response(
            "<ErrorResponse><Error><Type>Sender</Type><Code>\(code)</Code><Message>\(message)</Message></Error></ErrorResponse>",
            status: status)
    }

    private func reason(_ cause: Cause?) -> String { cause.flatMap { CauseSummary($0).sentence } ?? "" }

    /// One scenario: a server, a token and a clock.
    private struct Scene {
        let harness: FilerHarness
        let server: AnswerServer
        let folders: LoginFolders
        let time: Clock

        func stage(_ names: String...) async -> Cause? {
            await harness.filer.stage(names.map { harness.file("s3://b/\($0)", "/in/\($0)") }, into: harness.root)
        }
        /// How often STS was asked.
        var exchanges: Int { server.targets.count { $0 == "/" } }
        /// The keys of the requests to S3.
        var keys: [String] { zip(server.targets, server.keys).filter { $0.0 != "/" }.map(\.1) }
    }

    private final class Clock: Sendable {
        private let now = Mutex(WebIdentityTests.start)
        var value: Int64 { now.withLock { $0 } }
        func advance(minutes: Int64) { now.withLock { $0 += minutes * 60_000_000 } }
    }

    private func with(
        retries: Int = 0, token: String? = "the/token+1",
        _ answer: @escaping @Sendable (_ target: String, _ time: Int, _ now: Int64) -> [UInt8]?,
        body: (Scene) async throws -> Void
    ) async throws {
        let time = Clock()
        let server = AnswerServer { target, count in
            answer(target, count, time.value)
                ?? (target == "/"
                    ? Self.session(count, expires: time.value + 3_600_000_000) : AnswerServer.response("content"))
        }
        defer { server.close() }
        try await LoginFolders.with { folders in
            if let token { try folders.write("identity", ["token": token + "\n"]) }
            var configuration = FilerConfiguration()
            let endpoint = try #require(S3Endpoint(server.url("")))
            configuration.s3.endpoint = endpoint
            configuration.s3.webIdentity = S3WebIdentity(
                role: "arn:aws:iam::1:role/poiesis", tokenFile: folders.path + "/identity/token", endpoint: endpoint)
            configuration.s3.clock = { time.value }
            try await FilerHarness.with(retries: retries, configuration: configuration) { harness in
                try await body(Scene(harness: harness, server: server, folders: folders, time: time))
            }
        }
    }

    @Test func theExchangeIsTheDocumentedOne() async throws {
        try await with(
            { _, _, _ in nil },
            body: { scene in
                #expect(await scene.stage("x") == nil)
                #expect(
                    scene.server.bodies.first
                        == "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpoiesis&RoleSessionName=poiesis&WebIdentityToken=the%2Ftoken%2B1"
                )
                let heads = scene.server.requests.map { $0.lowercased() }
                #expect(heads.first?.hasPrefix("post / http/1.1\r\n") == true)
                #expect(heads.first?.contains("content-type: application/x-www-form-urlencoded\r\n") == true)
                #expect(heads.first?.contains("authorization:") == false)
                #expect(heads.last?.contains("x-amz-security-token: token-1\r\n") == true)
                #expect(scene.keys == ["KEY1"])
            })
    }

    @Test func manyTransfersShareOneSession() async throws {
        try await with(
            { target, _, _ in
                if target == "/" { usleep(100_000) }
                return nil
            },
            body: { scene in
                #expect(await scene.stage("a", "b", "c", "d", "e", "f") == nil)
                #expect(scene.exchanges == 1 && scene.keys == Array(repeating: "KEY1", count: 6))
            })
    }

    @Test func aSessionIsRenewedFiveMinutesBeforeItsEndWithTheTokenOfThen() async throws {
        try await with(
            { _, _, _ in nil },
            body: { scene in
                _ = await scene.stage("a")
                scene.time.advance(minutes: 54)
                _ = await scene.stage("b")
                try scene.folders.write("identity", ["token": "another"])
                scene.time.advance(minutes: 2)
                _ = await scene.stage("c")
                #expect(scene.keys == ["KEY1", "KEY1", "KEY2"])
                #expect(scene.server.bodies.contains { $0.hasSuffix("&WebIdentityToken=another") })
            })
    }

    @Test(arguments: [(400, "ExpiredToken"), (403, "InvalidAccessKeyId")])
    func aSessionThatTheStorageEndedIsRenewed(_ status: Int, _ code: String) async throws {
        try await with(
            { target, count, _ in
                target == "/b/a" && count == 1 ? Self.refusal(code, status: status) : nil
            },
            body: { scene in
                #expect(await scene.stage("a") == nil)
                #expect(scene.keys == ["KEY1", "KEY2"] && scene.exchanges == 2)
            })
    }

    @Test func aRoleWithoutTheRightAsksForNoOtherSession() async throws {
        try await with(
            { target, _, _ in
                target == "/" ? nil : Self.refusal("AccessDenied", status: 403)
            },
            body: { scene in
                let said = reason(await scene.stage("a"))
                #expect(said.contains("check the rights of the role arn:aws:iam::1:role/poiesis"), "\(said)")
                #expect(scene.exchanges == 1)
            })
    }

    @Test func aSessionServesToItsEndWhileSTSIsAway() async throws {
        try await with(
            { target, count, _ in target == "/" && count > 1 ? Self.refusal("", status: 503) : nil },
            body: { scene in
                _ = await scene.stage("a")
                scene.time.advance(minutes: 56)
                #expect(await scene.stage("b", "c") == nil)
                // It is asked again half a minute later, not for each request.
                #expect(scene.exchanges <= 3)
                scene.time.advance(minutes: 5)
                #expect(reason(await scene.stage("d")).contains("status 503"))
                #expect(scene.keys == ["KEY1", "KEY1", "KEY1"])
            })
    }

    @Test func whatMayWorkLaterIsTriedAgain() async throws {
        try await with(
            retries: 2,
            { target, count, now in
                switch (target, count) {
                case ("/", 1): Self.refusal("IDPCommunicationError", status: 400)
                case ("/", 2): Self.refusal("Throttling", status: 429)
                default: nil
                }
            },
            body: { scene in
                #expect(await scene.stage("a") == nil)
                #expect(scene.exchanges == 3)
            })
    }

    @Test(arguments: [
        ("AccessDenied", 403, "trust policy"), ("ExpiredTokenException", 400, "is not accepted"),
        ("InvalidIdentityToken", 400, "is not accepted"), ("ValidationError", 400, "check AWS_ROLE_ARN"),
    ])
    func aRefusedExchangeIsExplainedWithoutTheToken(_ code: String, _ status: Int, _ word: String) async throws {
        try await with(
            retries: 2, { target, _, _ in Self.refusal(code, "no: the/token+1", status: status) },
            body: { scene in
                let said = reason(await scene.stage("a"))
                #expect(
                    said.contains(code) && said.contains(word) && said.contains("arn:aws:iam::1:role/poiesis")
                        && said.contains(scene.server.url("")), "\(said)")
                #expect(!said.contains("the/token+1"))
                #expect(scene.exchanges == 1)
            })
    }

    @Test func aMissingTokenIsNamed() async throws {
        try await with(
            token: nil, { _, _, _ in nil },
            body: { scene in
                let said = reason(await scene.stage("a"))
                #expect(said.contains(scene.folders.path + "/identity/token") && scene.exchanges == 0, "\(said)")
            })
    }

    @Test func anAnswerThatIsNoSessionIsAnError() async throws {
        try await with(
            { target, _, _ in AnswerServer.response("<html>welcome</html>") },
            body: { scene in
                #expect(reason(await scene.stage("a")).contains("answered without credentials: AWS_ENDPOINT_URL_STS"))
            })
    }
}

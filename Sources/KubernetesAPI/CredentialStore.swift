import HTTPClient
import LocalSystem

/// What to log in with now: files are read again every minute, a plugin runs again when its credentials expire.
actor CredentialStore {
    /// What one request is sent with.
    struct Access: Sendable {
        var token: String?
        var tls: TLSOptions
        /// Counts the times that it was read.
        var edition: Int
    }

    /// How long what a file holds is believed.
    private static let fileLife = Duration.seconds(60)
    /// So long before a plugin's credentials expire, they are not used any more.
    private static let margin: Int64 = 10_000_000

    private typealias Waiter = CheckedContinuation<Result<Access, KubernetesError>, Never>

    private let configuration: ClusterConfiguration
    private var current: Access?
    /// When ``current`` is to be read again; nil for never.
    private var expiration: ContinuousClock.Instant?
    private var edition = 0
    /// Who waits for the reading that is under way, by number; nil where there is none.
    private var waiting: [Int: Waiter]?
    private var lastNumber = 0

    init(_ configuration: ClusterConfiguration) { self.configuration = configuration }

    func access() async throws(KubernetesError) -> Access {
        if let current, expiration.map({ ContinuousClock.now < $0 }) ?? true { return current }
        if waiting == nil {
            waiting = [:]
            Task {
                let result = await read()
                for continuation in (waiting ?? [:]).values { continuation.resume(returning: result) }
                waiting = nil
            }
        }
        lastNumber += 1
        let number = lastNumber
        // Whoever is cancelled leaves at once: a plugin may hang for a minute, longer than a leader may wait.
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Waiter) in
                if Task.isCancelled {
                    continuation.resume(returning: .failure(.transport(.cancelled)))
                } else {
                    waiting?[number] = continuation
                }
            }
        } onCancel: {
            Task { await leave(number) }
        }.get()
    }

    private func leave(_ number: Int) {
        waiting?.removeValue(forKey: number)?.resume(returning: .failure(.transport(.cancelled)))
    }

    /// Forgets what a server has just refused. False where reading it again would give the same.
    func renew(after refused: Access) -> Bool {
        guard isRenewable else { return false }
        if current?.edition == refused.edition { current = nil }
        return true
    }

    private var isRenewable: Bool {
        let login = configuration.login
        return login.plugin != nil || [login.token, login.certificate, login.key].contains { $0?.isFile == true }
    }

    private func read() async -> Result<Access, KubernetesError> {
        do throws(KubernetesError) {
            let login = configuration.login
            var tls = TLSOptions()
            tls.isUnverified = configuration.isUnverified
            tls.authorities = try await bytes(configuration.authorities)
            if let certificate = try await bytes(login.certificate), let key = try await bytes(login.key) {
                tls.client = .init(certificate: certificate, key: key)
            }
            var token = try await bytes(login.token).map(trimmed)
            let parts = [configuration.authorities, login.certificate, login.key, login.token]
            var end = parts.contains { $0?.isFile == true } ? ContinuousClock.now + Self.fileLife : nil
            if let plugin = login.plugin {
                let outcome = try await plugin.run()
                token = outcome.token
                if let client = outcome.client { tls.client = .init(certificate: client.certificate, key: client.key) }
                if let expiration = outcome.expiration {
                    // At least a second, or each request would run the plugin.
                    let rest = max(1_000_000, expiration - Self.margin - Machine.clock())
                    let last = ContinuousClock.now + .microseconds(rest)
                    end = end.map { min($0, last) } ?? last
                }
            }
            if let token, token.utf8.contains(where: { $0 < 33 || $0 > 126 }) || token.isEmpty {
                throw KubernetesError.credentials("the token is empty or holds characters that no token has")
            }
            edition += 1
            let access = Access(token: token, tls: tls, edition: edition)
            (current, expiration) = (access, end)
            return .success(access)
        } catch { return .failure(error) }
    }

    private func bytes(_ credential: ClusterConfiguration.Credential?) async throws(KubernetesError) -> [UInt8]? {
        switch credential {
        case nil: return nil
        case .bytes(let bytes): return bytes
        case .file(let path):
            do throws(FileError) {
                return try await onDisk { _ throws(FileError) in try readCredential(path) }
            } catch { throw .credentials("\(error)") }
        }
    }
}

extension ClusterConfiguration.Credential {
    fileprivate var isFile: Bool { if case .file = self { true } else { false } }
}

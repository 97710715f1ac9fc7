package import HTTPClient
package import TaskCore

/// What the filers are made from; the secrets in it never leave them.
package struct FilerConfiguration: Sendable {
    /// Folders that `file` URLs may reach.
    package var roots: [FileRoot] = []
    package var s3 = S3Configuration()
    /// Transfers of one task at once.
    package var parallelTransfers = 4
    /// Pauses before a transfer is tried again; as many retries as pauses.
    package var retryPauses: [Duration] = [.milliseconds(500), .seconds(2), .seconds(5), .seconds(10)]
    /// Folders of the server's own that no URL reaches, whatever ``roots`` allows.
    package var closedFolders: [String] = []
    /// Most files and folders that one task's outputs, or one directory input, are looked for among.
    package var maximumEntries = 1_000_000

    package init() {}
}

/// Stages inputs and uploads outputs: finds the strategy for a URL, runs several transfers at once, and repeats what may work later.
package struct Filer: Sendable {
    /// The first that serves a URL has it.
    let strategies: [any FilerStrategy]
    let parallelTransfers: Int
    let maximumEntries: Int
    private let retries: Retries
    let principal: Principal

    private init(_ base: Filer, principal: Principal) {
        strategies = base.strategies
        parallelTransfers = base.parallelTransfers
        maximumEntries = base.maximumEntries
        retries = base.retries
        self.principal = principal
    }

    package init(strategies: [any FilerStrategy], configuration: FilerConfiguration) {
        self.strategies = strategies
        parallelTransfers = configuration.parallelTransfers
        maximumEntries = configuration.maximumEntries
        retries = Retries(pauses: configuration.retryPauses)
        principal = .everyone
    }

    /// All schemes that this program knows.
    package static func standard(_ configuration: FilerConfiguration, client: HTTPClient) -> Filer {
        Filer(
            strategies: [
                FileStrategy(configuration),
                S3Strategy(
                    configuration: configuration.s3, client: client,
                    partRetries: Retries(pauses: Array(configuration.retryPauses.prefix(2))),
                    maximumEntries: configuration.maximumEntries),
                // What S3 does not claim.
                HTTPStrategy(client: client),
            ], configuration: configuration)
    }

    /// The same filer for another's files.
    package func acting(for principal: Principal) -> Filer { Filer(self, principal: principal) }

    /// In lower case.
    package var schemes: Set<String> { Set(strategies.flatMap(\.schemes)) }

    /// URL prefixes for service-info, in order.
    package var storage: [String] { Set(strategies.flatMap(\.storage)).sorted() }

    func strategy(_ text: String) throws(FilerError) -> (any FilerStrategy, RemoteURL) {
        guard let url = RemoteURL(text), let strategy = strategies.first(where: { $0.serves(url) }) else {
            throw FilerError("no filer serves the URL \(text)")
        }
        return (strategy, url)
    }

    /// Tries again after a pause what failed with a transient error.
    func retrying(_ body: () async throws(FilerError) -> Void) async throws(FilerError) { try await retries.run(body) }
}

/// Tries again after a pause what failed with a transient error.
struct Retries: Sendable {
    /// As many retries as pauses.
    let pauses: [Duration]

    func run<Value>(_ body: () async throws(FilerError) -> Value) async throws(FilerError) -> Value {
        for pause in pauses {
            do throws(FilerError) {
                return try await body()
            } catch {
                guard error.isTransient, !Task.isCancelled else { throw error }
            }
            // Up to half as long again, so that many tasks do not come back at once.
            try? await Task.sleep(for: pause + pause * Double.random(in: 0..<0.5))
        }
        return try await body()
    }
}

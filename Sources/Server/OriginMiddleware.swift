import HTTPTypes
import Hummingbird
import TES

/// Whose pages may use this server from a browser.
package enum CrossOrigin: Hashable, Sendable {
    case none
    case any
    /// `https://portal.example`, in lower case.
    case origins(Set<String>)

    func allows(_ origin: String) -> Bool {
        switch self {
        case .none: false
        case .any: true
        case .origins(let origins): origins.contains(origin.lowercased())
        }
    }
}

/// A browser must not be able to make this server run things for somebody else's page, unless its operator wants that.
struct OriginMiddleware: RouterMiddleware {
    /// Host names that this server is known by, besides `localhost` and addresses; in lower case.
    let knownHosts: Set<String>
    let crossOrigin: CrossOrigin

    @concurrent func handle(
        _ request: Request, context: TESRequestContext,
        next: @concurrent (Request, TESRequestContext) async throws -> Response
    ) async throws -> Response {
        // The first Host is the authority; a second one is left among the headers. RFC 9112, 3.2.
        guard let host = request.head.authority, !host.isEmpty, request.headers[.host] == nil else {
            throw InvalidRequest([RequestProblem("", "a request needs exactly one Host header")])
        }
        guard isKnown(host) else {
            throw APIError.forbidden(
                "this server is not known as \"\(host.prefix(100))\": its operator names more hosts with server.hosts in the configuration"
            )
        }
        guard let origin = request.headers[.origin] else {
            if request.headers[.secFetchSite] == "cross-site", crossOrigin == .none {
                throw APIError.forbidden("requests from other sites' pages are refused")
            }
            return try await next(request, context)
        }
        let isAllowed = crossOrigin.allows(origin)
        guard isAllowed || isOwn(origin, host) else {
            throw APIError.forbidden(
                "requests from pages of \(origin.prefix(100)) are refused: its operator names origins with server.cors in the configuration"
            )
        }
        guard isAllowed else { return try await next(request, context) }
        context.trace.answer(.accessControlAllowOrigin, crossOrigin == .any ? "*" : origin)
        context.trace.answer(.accessControlExposeHeaders, "ETag, Retry-After, X-Request-Id, Idempotent-Replayed")
        if crossOrigin != .any { context.trace.answer(.vary, "Origin") }
        guard request.method == .options, request.headers[.accessControlRequestMethod] != nil else {
            return try await next(request, context)
        }
        return Response(
            status: .noContent,
            headers: [
                .accessControlAllowMethods: "GET, HEAD, POST, DELETE, OPTIONS",
                .accessControlAllowHeaders:
                    "Accept, Authorization, Content-Type, Content-Encoding, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-Id",
                .accessControlMaxAge: "600",
            ])
    }

    private func isOwn(_ origin: String, _ host: String) -> Bool {
        guard let start = origin.firstRange(of: "://") else { return false }
        return origin[start.upperBound...].lowercased() == host.lowercased()
    }

    private func isKnown(_ host: String) -> Bool {
        var name = host.lowercased()
        if name.hasPrefix("[") { return true }
        if let colon = name.lastIndex(of: ":") { name = String(name[..<colon]) }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        let isAddress = parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
        return isAddress || name == "localhost" || name.hasSuffix(".localhost")
            || knownHosts.contains(name)
    }
}

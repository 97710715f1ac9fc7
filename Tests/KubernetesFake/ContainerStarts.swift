/// What the kubelet makes of a container's spec.
extension Cluster {
    /// Throws what `CreateContainerConfigError` says.
    func containerStart(_ uid: String, _ index: Int) throws(StatusError) -> ContainerStart {
        guard let life = lives[uid], let pod = object(.pods, life.key) else {
            throw StatusError(404, nil, "the pod is gone")
        }
        let container = life.containers[index]
        let namespace = life.key.namespace
        var environment: [(name: String, value: String)] = []
        var values: [String: String] = [:]
        for item in container.spec["env"].items {
            guard let name = item["name"].text else { continue }
            let value: String?
            if let source = item["valueFrom"] {
                value = try self.value(of: source, pod, life, container)
            } else {
                value = Expansion.expand(item["value"].text ?? "", values)
            }
            guard let value else { continue }
            values[name] = value
            environment.append((name, value))
        }
        func expanded(_ field: String) -> [String]? {
            container.spec[field].map { $0.items.map { Expansion.expand($0.text ?? "", values) } }
        }
        var files: [String: [String: [UInt8]]] = [:]
        for volume in pod["spec"]["volumes"].items {
            guard let name = volume["name"].text, let content = self.files(of: volume, pod, namespace) else { continue }
            files[name] = content
        }
        let digits = (0..<4).map { _ in
            let hex = String(UInt64.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 16 - hex.count) + hex
        }
        return ContainerStart(
            id: digits.joined(), pod: pod, spec: container.spec, restarts: container.restarts, environment: environment,
            command: expanded("command"), arguments: expanded("args"), files: files)
    }

    private func value(
        of source: JSON, _ pod: JSON, _ life: PodLife, _ container: ContainerLife
    ) throws(StatusError) -> String? {
        if let path = source["fieldRef"]["fieldPath"].text {
            switch path {
            case "status.podIP": return life.address ?? ""
            case "spec.nodeName": return life.node
            case "status.hostIP": return "192.0.2.2"
            default:
                if let match = path.wholeMatch(of: /metadata\.(labels|annotations)\['([^']+)'\]/) {
                    return pod["metadata"][String(match.1)][String(match.2)].text ?? ""
                }
                return path.split(separator: ".").reduce(Optional(pod)) { $0[String($1)] }.text ?? ""
            }
        }
        if let name = source["resourceFieldRef"]["resource"].text {
            let parts = name.split(separator: ".").map(String.init)
            let amount = Quantity.value(container.spec["resources"][parts[0]][parts.last ?? ""]) ?? 0
            return String(Int(amount.rounded(.up)))
        }
        for (kind, resource) in [("secretKeyRef", Resource.secrets), ("configMapKeyRef", .configmaps)] {
            guard let name = source[kind]["name"].text, let key = source[kind]["key"].text else { continue }
            let optional = source[kind]["optional"] == true
            guard let object = object(resource, ObjectKey(life.key.namespace, name)) else {
                if optional { return nil }
                throw StatusError(404, nil, "\(resource.kind.lowercased()) \"\(name)\" not found")
            }
            guard let bytes = Self.data(of: object)[key] else {
                if optional { return nil }
                throw StatusError(
                    404, nil, "couldn't find key \(key) in \(resource.kind) \(life.key.namespace)/\(name)")
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        return ""
    }

    /// The files of a Secret or ConfigMap.
    private static func data(of object: JSON) -> [String: [UInt8]] {
        let plain = object["kind"] == "Secret" ? object["stringData"] : object["data"]
        var result = plain.texts.mapValues { Array($0.utf8) }
        let encoded = object["kind"] == "Secret" ? object["data"] : object["binaryData"]
        for (key, text) in encoded.texts { result[key] = Base64.decode(text) }
        return result
    }

    private func files(of volume: JSON, _ pod: JSON, _ namespace: String) -> [String: [UInt8]]? {
        func from(_ resource: Resource, _ name: String?, _ items: [JSON]) -> [String: [UInt8]] {
            let data = object(resource, ObjectKey(namespace, name ?? "")).map(Self.data) ?? [:]
            if items.isEmpty { return data }
            var result: [String: [UInt8]] = [:]
            for item in items {
                guard let key = item["key"].text, let path = item["path"].text else { continue }
                result[path] = data[key]
            }
            return result
        }
        if let secret = volume["secret"] {
            return from(.secrets, secret["secretName"].text, secret["items"].items)
        }
        if let map = volume["configMap"] { return from(.configmaps, map["name"].text, map["items"].items) }
        guard let projected = volume["projected"] else { return nil }
        var result: [String: [UInt8]] = [:]
        for source in projected["sources"].items {
            if let secret = source["secret"] {
                result.merge(from(.secrets, secret["name"].text, secret["items"].items)) { $1 }
            }
            if let map = source["configMap"] {
                result.merge(from(.configmaps, map["name"].text, map["items"].items)) { $1 }
            }
            if let token = source["serviceAccountToken"]["path"].text {
                let account = pod["spec"]["serviceAccountName"].text ?? "default"
                result[token] = Array(serviceAccountToken(namespace, account).utf8)
            }
            for item in source["downwardAPI"]["items"].items {
                guard let path = item["path"].text, let field = item["fieldRef"]["fieldPath"].text else { continue }
                let value = field.split(separator: ".").reduce(Optional(pod)) { $0[String($1)] }.text ?? ""
                result[path] = Array(value.utf8)
            }
        }
        return result
    }

    /// The token that the account of that name has in `access`, or a made-up one if everybody may do everything.
    private func serviceAccountToken(_ namespace: String, _ account: String) -> String {
        let user = "system:serviceaccount:\(namespace):\(account)"
        return access?.accounts.first { $0.value.name == user }?.key ?? "token-of-\(namespace)-\(account)"
    }
}

/// Base64 as Secrets carry it.
enum Base64 {
    static func decode(_ text: String) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var result: [UInt8] = []
        var (value, bits) = (0, 0)
        for byte in text.utf8 {
            guard let digit = alphabet.firstIndex(of: byte) else { continue }
            value = (value << 6 | digit) & 0xFFFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                result.append(UInt8(truncatingIfNeeded: value >> bits))
            }
        }
        return result
    }
}

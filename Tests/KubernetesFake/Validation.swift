import Foundation

func makeUID() -> String { UUID().uuidString.lowercased() }

/// What the API server refuses: the obvious wrong values, in the recorded words.
extension Cluster {
    private static let nameRule =
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
        + "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    private static let labelNameRule =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
        + "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    private static let labelRule =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
        + "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
        + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

    /// Throws 422 with every cause, or 400 for a value that cannot be read.
    static func validate(_ object: JSON, _ resource: Resource) throws(StatusError) {
        let name = object["metadata"]["name"].text ?? ""
        var causes: [StatusError.Cause] = []
        if name.isEmpty {
            causes.append(.required("metadata.name", "name or generateName is required"))
        } else if name.wholeMatch(of: /[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/) == nil {
            causes.append(.invalid("metadata.name", "\"\(name)\"", nameRule))
        } else if name.utf8.count > 253 {
            causes.append(.invalid("metadata.name", "\"\(name)\"", "must be no more than 253 bytes"))
        }
        if resource == .jobs && name.utf8.count > 63 && object["metadata"]["uid"] == nil {
            // A Job's name becomes a label of its Pods.
            causes.append(.invalid("spec.template.labels", "\"\(name)\"", "must be no more than 63 bytes"))
        }
        causes += labelCauses(object["metadata"]["labels"], "metadata.labels")
        switch resource {
        case .jobs:
            causes += labelCauses(object["spec"]["template"]["metadata"]["labels"], "spec.template.labels")
            causes += try podCauses(object["spec"]["template"]["spec"], "spec.template.spec")
            let policy = object["spec"]["template"]["spec"]["restartPolicy"].text ?? "Always"
            if policy != "Never" && policy != "OnFailure" {
                causes.append(
                    .notSupported("spec.template.spec.restartPolicy", policy, ["OnFailure", "Never"]))
            }
        case .pods: causes += try podCauses(object["spec"], "spec")
        default: break
        }
        var seen: Set<String> = []
        causes = causes.filter { seen.insert($0.field + $0.message).inserted }
        if !causes.isEmpty { throw .invalid(resource, name, causes) }
    }

    private static func labelCauses(_ labels: JSON?, _ field: String) -> [StatusError.Cause] {
        labels.texts.sorted { $0.key < $1.key }.compactMap { _, value in
            if value.utf8.count > 63 { return .invalid(field, "\"\(value)\"", "must be no more than 63 bytes") }
            if value.wholeMatch(of: /(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?/) == nil {
                return .invalid(field, "\"\(value)\"", labelRule)
            }
            return nil
        }
    }

    private static func podCauses(_ spec: JSON?, _ field: String) throws(StatusError) -> [StatusError.Cause] {
        var causes: [StatusError.Cause] = []
        let volumes = Set(spec["volumes"].items.compactMap { $0["name"].text })
        if spec["containers"].items.isEmpty { causes.append(.required("\(field).containers")) }
        var names: Set<String> = []
        for list in ["containers", "initContainers"] {
            for (index, container) in spec[list].items.enumerated() {
                let place = "\(field).\(list)[\(index)]"
                let name = container["name"].text ?? ""
                if name.isEmpty { causes.append(.required("\(place).name")) }
                if !name.isEmpty, name.wholeMatch(of: /[a-z0-9]([-a-z0-9]*[a-z0-9])?/) == nil || name.utf8.count > 63 {
                    causes.append(.invalid("\(place).name", "\"\(name)\"", labelNameRule))
                }
                if !names.insert(name).inserted {
                    causes.append(
                        StatusError.Cause(
                            reason: "FieldValueDuplicate", field: "\(place).name",
                            message: "Duplicate value: \"\(name)\""))
                }
                if (container["image"].text ?? "").isEmpty { causes.append(.required("\(place).image")) }
                for (number, mount) in container["volumeMounts"].items.enumerated() {
                    let volume = mount["name"].text ?? ""
                    if !volumes.contains(volume) {
                        causes.append(.notFound("\(place).volumeMounts[\(number)].name", volume))
                    }
                }
                causes += try resourceCauses(container["resources"], place)
            }
        }
        return causes
    }

    private static func resourceCauses(_ resources: JSON?, _ place: String) throws(StatusError) -> [StatusError.Cause] {
        var causes: [StatusError.Cause] = []
        for part in ["limits", "requests"] {
            for (_, value) in resources[part].members where Quantity.value(value) == nil {
                throw .badRequest(
                    "Job in version \"v1\" cannot be handled as a Job: quantities must match the regular expression "
                        + "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
            }
        }
        for (name, request) in resources["requests"].members.sorted(by: { $0.key < $1.key }) {
            guard let limit = resources["limits"][name], let most = Quantity.value(limit),
                let asked = Quantity.value(request), asked > most
            else { continue }
            causes.append(
                .invalid(
                    "\(place).resources.requests", "\"\(request.text ?? "")\"",
                    "must be less than or equal to \(name) limit of \(limit.text ?? "")"))
        }
        return causes
    }

    /// Times of a Lease have exactly six decimals.
    static func checkLeaseTimes(_ spec: JSON?) throws(StatusError) {
        for field in ["acquireTime", "renewTime"] {
            guard let text = spec[field].text else { continue }
            let shape = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?<fraction>\d*))?(?:Z|[+-]\d\d:\d\d)/
            let fraction = text.wholeMatch(of: shape)?.fraction
            if fraction?.count == 6 { continue }
            let why =
                if let fraction, fraction.count > 6 { "\"\(fraction.dropFirst(6))Z\" as \"Z07:00\"" } else {
                    "\"\(text.drop { $0 != "." && $0 != "Z" })\" as \".000000\""
                }
            throw .badRequest(
                "Lease in version \"v1\" cannot be handled as a Lease: parsing time \"\(text)\" as "
                    + "\"2006-01-02T15:04:05.000000Z07:00\": cannot parse \(why)")
        }
    }

    /// Refuses changes of what cannot change.
    static func checkImmutable(_ given: JSON, _ before: JSON, _ resource: Resource) throws(StatusError) {
        let name = before["metadata"]["name"].text ?? ""
        var causes: [StatusError.Cause] = []
        func check(_ field: String, _ left: JSON?, _ right: JSON?) {
            guard left != right, let left else { return }
            let value = String(decoding: left.bytes, as: UTF8.self)
            causes.append(.invalid(field, value, "field is immutable"))
        }
        if resource == .jobs {
            for field in ["completions", "selector", "completionMode"] {
                check("spec.\(field)", given["spec"][field], before["spec"][field])
            }
            // The template may change only while a Job that never started is suspended, and then not in its containers.
            let started = before["status"]["startTime"] != nil || before["spec"]["suspend"] != true
            let new = given["spec"]["template"]
            let old = before["spec"]["template"]
            if started {
                check("spec.template", new, old)
            } else if Self.comparable(new["spec"]) != Self.comparable(old["spec"]) {
                check("spec.template.spec", new["spec"], old["spec"])
            }
        }
        if resource == .pods {
            for list in ["initContainers", "containers"] {
                let images = [given, before].map { $0["spec"][list].items.map { $0["command"] } }
                if images[0] != images[1] { check("spec.\(list)", given["spec"][list], before["spec"][list]) }
            }
        }
        if !causes.isEmpty { throw .invalid(resource, name, causes) }
    }

    /// A Pod's spec without what a suspended Job may change: where it may run.
    private static func comparable(_ spec: JSON?) -> JSON? {
        var spec = spec
        for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] { spec[field] = nil }
        return spec
    }
}

/// Amounts such as `100Mi` or `10m`: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
package enum Quantity {
    /// The amount in bytes, CPUs and so on; nil if the text is none.
    package static func value(_ json: JSON?) -> Double? {
        switch json {
        case .int(let value): return Double(value)
        case .double(let value): return value
        default: break
        }
        guard let text = json.text, let match = text.wholeMatch(of: /([+-]?[0-9.]+)([eE][-+]?[0-9]+|[numkKMGTPEi]*)/),
            let number = Double(match.1)
        else { return nil }
        let suffix = String(match.2)
        if suffix.isEmpty { return number }
        if let whole = Double(match.1 + match.2) { return whole }
        let factors: [String: Double] = [
            "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
            "Ki": 1024, "Mi": 1_048_576, "Gi": 1_073_741_824, "Ti": 1_099_511_627_776, "Pi": 1_125_899_906_842_624,
        ]
        return factors[suffix].map { number * $0 }
    }
}

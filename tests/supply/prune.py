"""Leaves in an SBOM what is compiled: prune.py SBOM < the lines `name vVERSION ...` of `cargo tree --prefix none`.

Cargo's metadata, which the SBOM is made of, also names crates that a feature would need if another one were on.
"""

import json
import sys

compiled = {tuple(line.split()[:2]) for line in sys.stdin if line.strip()}
with open(sys.argv[1]) as file:
    sbom = json.load(file)

sbom["components"] = [it for it in sbom["components"] if (it["name"], f"v{it['version']}") in compiled]
kept = {it["bom-ref"] for it in sbom["components"]} | {sbom["metadata"]["component"]["bom-ref"]}
sbom["dependencies"] = [
    {**it, "dependsOn": [other for other in it.get("dependsOn", []) if other in kept]}
    for it in sbom["dependencies"]
    if it["ref"] in kept
]

missing = compiled - {(it["name"], f"v{it['version']}") for it in sbom["components"]}
missing.discard((sbom["metadata"]["component"]["name"], f"v{sbom['metadata']['component']['version']}"))
if missing:
    sys.exit(f"not in {sys.argv[1]}: {sorted(missing)}")
json.dump(sbom, sys.stdout, indent=2)

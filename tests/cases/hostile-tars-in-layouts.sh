# SPDX-License-Identifier: Apache-2.0
# The same bad tars as layers of an OCI image, over a good layer: nothing of either stays.
# timeout: 600
. "$TESTS/lib.sh"
"$TESTS/hostile/tars.py" in >tars
make_layers <<'PY'
good = layer(file_("good", os.urandom(100000)))
skip = ("gzip", "zstd", "xz", "bzip2", "empty-input", "text")
with open("table", "w") as table:
    for line in open("tars"):
        name, regex, source = line.rstrip("\n").split("\t")
        if name[4:].startswith(skip):
            continue
        data = open(source[4:], "rb").read()
        oci_layout("i-" + name, [good, data], how="gzip")
        table.write("%s\t%s\toci:i-%s:t\n" % (name, regex, name))
PY
refuse_all table

# SPDX-License-Identifier: Apache-2.0
# An export that fails says so in one line, and leaves nothing behind and everything as it was.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("in", [layer(file_("small", "x")), layer(file_("big", os.urandom(6 << 20)))])
PY
expect_ok plyfs import oci:in:t i >/dev/null
expect_ok plyfs export i oci:good:t >/dev/null
cp -r good kept
echo old >file
forms='oci oci-archive docker-archive'

# refused REGEX DEST [ARG...]: and nothing has changed
refused() {
	local want=$1 dest=$2
	shift 2
	find . -path ./store -prune -o ! -name '.std*' -printf '%p %y %s\n' | sort >before
	expect_fail "$want" plyfs export i "$dest" "$@"
	find . -path ./store -prune -o ! -name '.std*' -printf '%p %y %s\n' | sort >after
	diff <(grep -vE '^\./(before|after) |^\. ' before) <(grep -vE '^\./(before|after) |^\. ' after) ||
		fail "$dest left something"
	diff -r good kept
	[ "$(cat file)" = old ] || fail 'the old file is gone'
}

note 'destinations that cannot be'
mkdir other && echo hello >other/hello
refused 'neither empty nor an OCI layout' oci:other:t
refused 'Not a directory' oci:file:t
refused 'No such file' oci:none/none:t
for form in oci-archive docker-archive; do
	refused 'directory' $form:other
	refused 'no regular file' $form:/dev/null
	refused 'No such file' $form:none/none
	refused 'names no file' $form:
done
refused 'names no file' oci::t
refused 'is no tag' oci:new:@t
refused 'is no tag' oci-archive:new:a..b
refused 'is no tag' oci:new:
refused 'is no image name' docker-archive:new:Upper
refused 'is no destination' nothing:new
mkdir bad && echo '{"imageLayoutVersion":"2.0.0"}' >bad/oci-layout
refused 'imageLayoutVersion' oci:bad:t
echo '{"imageLayoutVersion":"1.0.0"}' >bad/oci-layout && echo '{"manifests":1}' >bad/index.json
refused 'manifests is not an array' oci:bad:t
mkdir -p half/blobs && echo '{"imageLayoutVersion":"1.0.0"}' >half/oci-layout && echo >half/blobs/sha256
refused 'half/blobs/sha256' oci:half:t

note 'a full disk'
mkdir full
mount -t tmpfs -o size=4m tmpfs full
echo old >full/file
for codec in none gzip zstd; do
	for form in $forms; do
		refused 'full/.*space' "$form:full/new:t" --compress $codec
		[ $form = oci ] || refused 'full/file.*space' "$form:full/file:t" --compress $codec
		[ "$(cat full/file)" = old ] || fail 'the old file is gone'
	done
done
umount full

note 'no permission'
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir -m 755 closed && cp -r good closed/good
	chmod 755 . && cp "$PLYFS" prog 2>/dev/null && chmod 755 prog
	chown -R 65534:65534 store
	find closed | sort >before.closed
	for dest in oci:closed/new:t oci:closed/good:new oci-archive:closed/new docker-archive:closed/new; do
		expect_fail 'closed.*Permission denied' setpriv --reuid 65534 --regid 65534 --clear-groups \
			"$PLYFS" export i $dest
	done
	find closed | sort | diff before.closed -
	chown -R 0:0 store
	rm -f prog
fi

note 'a damaged store'
for file in $(find store/packs -name '*.pack'); do
	cp "$file" saved
	dd if=/dev/urandom of="$file" bs=4096 count=1 seek=3 conv=notrunc 2>/dev/null
	for form in $forms; do
		refused 'the store is damaged' $form:new:t
		refused 'the store is damaged' $form:new:t --compress none
	done
	refused 'the store is damaged' oci-archive:file
	cp saved "$file"
done
expect_ok plyfs export i oci:good:t >/dev/null
diff -r good kept

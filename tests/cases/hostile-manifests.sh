# SPDX-License-Identifier: Apache-2.0
# Manifest forms with a fault are refused, with the number of the line.
# core
# asan
. "$TESTS/lib.sh"
mkdir in
ln -s /etc/passwd in/link
mkfifo in/fifo
n=0
while IFS=$'\t' read -r name want text; do
	n=$((n + 1))
	printf '%b' "${text//@/$(printf 'n%.0s' $(seq 256))}" >"in/$name"
	printf '%s\t%s\tmanifest:%s\n' "bad-$name" "$want" "in/$name" >>table
done <<'END'
unknown-keyword	line 2.*colour	a type=file\nb type=file colour=red\n
no-type	line 1.*type	f mode=644\n
unknown-type	line 1	f type=door\n
twice	line 2.*f	f type=file\n/f type=dir\n
mode	line 1.*mode	f type=file mode=999\n
mode-large	line 1.*mode	f type=file mode=10000\n
uid-minus-1	line 1.*uid	f type=file uid=4294967295\n
gid-negative	line 1.*gid	f type=file gid=-1\n
time	line 1.*time	f type=file time=yesterday\n
dotdot	line 1.*\.\.	../f type=file\n
dotdot-inside	line 1.*\.\.	a/../../f type=file\n
name-256	line 1.*(long|255)	@ type=file\n
whiteout-name	line 1.*\.wh\.	.wh.f type=file\n
nul	line 1.*(NUL|escape|byte)	f\\000 type=file\n
nul-byte	line 1	f\0000g type=file\n
root-is-file	line 1.*root	/ type=file\n
below-file	line	a type=file\na/b type=file\n
link-without-target	line 1.*link	l type=link\n
link-empty	line 1.*link	l type=link link=\n
hard-link-to-nothing	line 1	h type=hardlink link=nothing\n
hard-link-to-itself	line 1	h type=hardlink link=h\n
hard-link-to-directory	line	d type=dir\nh type=hardlink link=d\n
device	line 1.*device	d type=char device=c:1\n
device-range	device|line 1	d type=char device=c:4096:0\n
content-missing	line 1.*none	f type=file content=none\n
content-symlink	line 1.*link	f type=file content=link\n
content-fifo	line 1.*fifo	f type=file content=fifo\n
content-directory	line 1	f type=file content=.\n
content-and-inline	line 1	f type=file content=link inline=x\n
xattr-without-name	line 1.*(attribute|xattr)	f type=file xattr.=1\n
binary	line 1	\\0177ELF\\0001\\0002\n
END
note "$n manifests"
refuse_all table

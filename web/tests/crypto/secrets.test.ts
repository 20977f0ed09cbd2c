/** What a user keeps: password, recovery key, vault, archive, boxes; and how two people compare keys. */

import fc from "fast-check";
import * as wasm from "hash-wasm";
import { beforeAll, describe, expect, test, vi } from "vitest";

import * as aead from "../../src/crypto/aead";
import { archive, openArchive, PAGE } from "../../src/crypto/archives";
import { openBox, sealBox, sealBoxes } from "../../src/crypto/boxes";
import { Secret, utf8 } from "../../src/crypto/bytes";
import { b64, ctx, dump, unb64 } from "../../src/crypto/encoding";
import * as kdf from "../../src/crypto/kdf";
import { EncryptionKey, pairOf } from "../../src/crypto/keys";
import * as recovery from "../../src/crypto/recovery";
import { half, qrText, readQr, safetyNumber } from "../../src/crypto/safety";
import { stretch } from "../../src/crypto/stretch";
import * as vault from "../../src/crypto/vault";
import type { UserId } from "../../src/protocol/ids";
import { aDevice, flips, hex, type Person, person, refused, secret } from "./people";

vi.mock("hash-wasm", { spy: true });

let alice: Person;
let mallory: Person;
beforeAll(async () => {
  [alice, mallory] = await Promise.all([person("alice"), person("mallory")]);
});

describe("the password", () => {
  const wire = { alg: "argon2id", m: 65_536, t: 3, p: 4, salt: b64(Uint8Array.from({ length: 16 }, (_, at) => at)) };
  const cheap: kdf.Kdf = { strength: kdf.FLOOR, salt: unb64(wire.salt) };

  test("has parameters that travel", () => {
    expect(kdf.writeKdf(kdf.readKdf(wire))).toEqual(wire);
    expect(kdf.freshKdf().strength).toEqual(kdf.STANDARD);
    expect(kdf.freshKdf().salt).not.toEqual(kdf.freshKdf().salt);
  });

  test.each([
    { m: 19_455 },
    { t: 1 },
    { p: 0 },
    { m: 8 },
    { alg: "argon2i" },
    { alg: "pbkdf2" },
    { m: 1_048_577 },
    { t: 11 },
    { p: 17 },
  ])("is not weakened, and does not stop the device: %j", (change) =>
    refused(() => kdf.readKdf({ ...wire, ...change }), "weak_kdf"),
  );

  test.each([
    null,
    [],
    {},
    { ...wire, m: "65536" },
    { ...wire, m: 65_536.5 },
    { ...wire, t: true },
    { ...wire, p: -1 },
    { ...wire, m: 2 ** 40 },
    { ...wire, salt: "AA" },
    { ...wire, more: 1 },
  ])("has parameters of one form: not %j", (value) => refused(() => kdf.readKdf(value), "bad_encoding"));

  test("is never stretched by parameters outside of the bounds", async () => {
    const never: kdf.Stretch = () => expect.unreachable("something was derived");
    const weak = { ...cheap, strength: { ...kdf.FLOOR, memory: 8 } };
    await refused(() => kdf.split("seven geese", weak, never), "weak_kdf");
  });

  test("is the same however it was typed, and another where it is another", async () => {
    const [one, same, other] = await Promise.all(
      ["Å ﬁ", "A\u030a fi", "å fi"].map((typed) => kdf.split(typed, cheap, stretch)),
    );
    expect(kdf.authOf(one as kdf.PasswordKeys)).toBe(kdf.authOf(same as kdf.PasswordKeys));
    expect(one?.wrap.reveal()).toEqual(same?.wrap.reveal());
    expect(one?.wrap.reveal()).not.toEqual(other?.wrap.reveal());
    expect(kdf.authOf(one as kdf.PasswordKeys)).toHaveLength(43);
    await refused(() => kdf.split("\ud800", cheap, stretch), "bad_encoding");
  });

  test("is stretched to the same where WebAssembly may not run", async () => {
    const strengths = [kdf.FLOOR, { memory: 19_500, passes: 2, lanes: 4 }];
    const stretched = () => Promise.all(strengths.map((each) => stretch(utf8("seven geese"), cheap.salt, each)));
    const quickly = await stretched();
    const compiled = vi.mocked(wasm.argon2id).mockClear();
    compiled.mockRejectedValue(new WebAssembly.CompileError("refused by the policy"));
    try {
      expect(await stretched()).toEqual(quickly);
      expect(compiled).toHaveBeenCalledTimes(2);
    } finally {
      compiled.mockRestore();
    }
  });
});

describe("HKDF and AES", () => {
  test("HKDF is RFC 5869's", async () => {
    // Test case 3, the one without a salt: 42 bytes, of which ours are the first 32.
    expect(await aead.hkdf(hex("0b".repeat(22)), new Uint8Array(0))).toEqual(
      hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    );
  });

  test("a seal has no changed byte, and is for one place", async () => {
    const key = new Uint8Array(32).fill(1);
    const sealed = await aead.seal(key, utf8("secret"), utf8("here"));
    expect(await aead.open(key, sealed, utf8("here"))).toEqual(utf8("secret"));
    for (const changed of flips(sealed)) await refused(() => aead.open(key, changed, utf8("here")), "bad_seal");
    await refused(() => aead.open(key, sealed, utf8("there")), "bad_seal");
    await refused(() => aead.open(key, sealed.slice(0, 27), utf8("here")), "bad_seal");
  });
});

describe("the recovery key", () => {
  // Source: mautrix's tests of its secret storage, crypto/ssss. The bytes are those that its passphrase gives.
  const ONE = "EsTE s92N EtaX s2h6 VQYF 9Kao tHYL mkyL GKMh isZb KJ4E tvoC";

  test("has Matrix's text", async () => {
    const password = await crypto.subtle.importKey("raw", utf8("correct horse battery staple"), "PBKDF2", false, [
      "deriveBits",
    ]);
    const parameters = {
      name: "PBKDF2",
      hash: "SHA-512",
      salt: utf8("y863BOoqOadgDp8S3FtHXikDJEalsQ7d"),
      iterations: 500_000,
    };
    const derived = new Uint8Array(await crypto.subtle.deriveBits(parameters, password, 256));

    expect(recovery.toText(new Secret(derived))).toBe(ONE);
    expect(recovery.fromText(ONE).reveal()).toEqual(derived);
    expect(recovery.fromText(`\n ${ONE.replaceAll(" ", "")}\t`).reveal()).toEqual(derived);
  });

  test("always has 48 characters and comes back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (raw) => {
        const text = recovery.toText(new Secret(Uint8Array.from(raw)));
        expect(text.replaceAll(" ", "")).toHaveLength(48);
        expect(recovery.fromText(text).reveal()).toEqual(Uint8Array.from(raw));
      }),
    );
  });

  test.each([
    "",
    ONE.slice(1),
    `${ONE}1`,
    ONE.replace("E", "0"),
    ONE.replace("E", "O"),
    ONE.replace("tvoC", "tvoD"),
    "z".repeat(48),
    "1".repeat(48),
  ])("%j is mistyped", (text) => refused(() => recovery.fromText(text), "bad_recovery_key"));
});

describe("safety numbers", () => {
  test("are Signal's", async () => {
    // Source: libsignal, NumericFingerprintGeneratorTest: names, identity keys with their type byte, and the digits.
    const halves = await Promise.all([
      half(utf8("+14152222222"), hex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868")),
      half(utf8("+14153333333"), hex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b")),
    ]);
    expect(halves.sort().join("")).toBe("300354477692869396892869876765458257569162576843440918079131");
  });

  test("are the same for both, and others for others", async () => {
    const of = (one: Person) => ({ user: one.user, identity: one.keys.identity });
    const number = await safetyNumber(of(alice), of(mallory));
    expect(await safetyNumber(of(mallory), of(alice))).toBe(number);
    expect(await safetyNumber(of(alice), { user: mallory.user, identity: alice.keys.identity })).not.toBe(number);
  });

  test("have a code that says who and which key", () => {
    expect(readQr(qrText(alice.user, alice.keys.identity))).toEqual({
      user: alice.user,
      identity: alice.keys.identity,
    });
  });

  const user = "0192f1aa-0000-7000-8000-00000000000a";
  test.each([
    "",
    "https://example.com",
    `chatverify:2:${user}:${"A".repeat(43)}`,
    `chatverify:1:alice:${"A".repeat(43)}`,
    `chatverify:1:${user}:`,
    `chatverify:1:${user}:${"A".repeat(42)}`,
    `chatverify:1:${user}:${"A".repeat(43)}=`,
    `chatverify:1:${user}:${"A".repeat(42)}B`,
  ])("%j is another code", (text) => refused(() => readQr(text), "bad_encoding"));
});

describe("the vault", () => {
  const wrap = new Secret(new Uint8Array(32).fill(1));
  const parameters: kdf.Kdf = { strength: kdf.STANDARD, salt: new Uint8Array(16) };
  let open: vault.OpenVault;
  let rk: Secret;
  let sealed: Record<string, unknown>;
  beforeAll(async () => {
    rk = await secret("rk alice");
    open = await vault.create(alice.user, parameters, wrap, rk);
    sealed = { ...(await open.sealed()) };
  });
  const opens = (changes: Record<string, unknown> = {}, user = alice.user) =>
    vault.openWithPassword({ ...sealed, ...changes }, user, wrap);

  test("opens with the password and with the recovery key", async () => {
    for (const one of [await opens(), await vault.openWithRecoveryKey(sealed, alice.user, rk)]) {
      expect(one.secrets.identity.public).toEqual(open.secrets.identity.public);
      expect(one.secrets.newest.secret.reveal()).toEqual(open.secrets.newest.secret.reveal());
      expect(one.version).toBe(1);
    }
  });

  test("shows nothing of itself", () => {
    const shown = `${JSON.stringify(open)}${JSON.stringify(sealed)}`;
    for (const hidden of [open.key, open.secrets.identitySecret, open.secrets.newest.secret, rk])
      expect(shown).not.toContain(b64(hidden.reveal()));
  });

  test("does not open with another secret, nor as another user's", async () => {
    await refused(() => vault.openWithPassword(sealed, alice.user, rk), "wrong_secret");
    await refused(() => vault.openWithRecoveryKey(sealed, alice.user, wrap), "wrong_secret");
    await refused(() => opens({}, mallory.user), "wrong_secret");
  });

  test("has no changed byte, and no other version", async () => {
    for (const changed of flips(unb64(sealed.ct))) await refused(() => opens({ ct: b64(changed) }), "bad_seal");
    await refused(() => opens({ version: 2 }), "bad_seal");
    const [pw, other] = sealed.slots as Record<string, unknown>[];
    for (const changed of flips(unb64(pw?.ct)))
      await refused(() => opens({ slots: [{ ...pw, ct: b64(changed) }, other] }), "wrong_secret");
  });

  test("has one form", async () => {
    const [pw, other] = sealed.slots as Record<string, unknown>[];
    const forms: Record<string, unknown>[] = [
      { v: 2 },
      { version: 0 },
      { more: 1 },
      { ct: "A" },
      { slots: [] },
      { slots: [other] },
      { slots: [pw, pw] },
      { slots: [{ ...pw, type: "xx" }, other] },
      { slots: [{ ...pw, more: 1 }, other] },
      { slots: [{ ...pw, ct: "AAAA" }, other] },
      { slots: {} },
    ];
    for (const changes of forms) await refused(() => opens(changes), "bad_encoding");
    for (const value of [null, [], "", 1])
      await refused(() => vault.openWithPassword(value, alice.user, wrap), "bad_encoding");
    const weak = { ...kdf.writeKdf(parameters), m: 8 };
    await refused(() => opens({ slots: [{ ...pw, kdf: weak }, other] }), "weak_kdf");
  });

  test("holds nothing that was not written so", async () => {
    const good = {
      uik: b64((await secret("uik alice")).reveal()),
      uik_pub: b64(alice.identity.public),
      ueks: [{ ver: 1, sk: b64(alice.encryption.secret.reveal()), pk: b64(alice.encryption.public) }],
    };
    const holding = async (secrets: unknown) =>
      opens({ ct: b64(await aead.seal(open.key.reveal(), dump(secrets), ctx("vault", alice.user, 1))) });
    expect((await holding(good)).secrets.identity.public).toEqual(alice.identity.public);
    const [uek] = good.ueks;
    const others: unknown[] = [
      { ...good, uik_pub: b64(mallory.identity.public) },
      { ...good, ueks: [] },
      { ...good, ueks: [{ ...uek, pk: b64(mallory.encryption.public) }] },
      { ...good, ueks: [{ ...uek, ver: 2 }] },
      { ...good, ueks: [uek, { ...uek, ver: 3 }] },
      { ...good, more: 1 },
      { ...good, archives: -1 },
    ];
    for (const secrets of others) await refused(() => holding(secrets), "bad_encoding");
  });

  test("goes on with another password, another recovery key and other keys", async () => {
    const other = new Secret(new Uint8Array(32).fill(2));
    const next = await open.next(open.secrets.withKey(await EncryptionKey.fresh(2))).withPassword(parameters, other);
    const again = await vault.openWithPassword(await next.sealed(), alice.user, other);
    expect([again.version, again.secrets.newest.version]).toEqual([2, 2]);
    await refused(async () => vault.openWithPassword(await next.sealed(), alice.user, wrap), "wrong_secret");
    const renewed = await (await open.next().withRecoveryKey(other)).sealed();
    expect((await vault.openWithRecoveryKey(renewed, alice.user, other)).version).toBe(2);
    expect(vault.recoverySlot(renewed)).not.toEqual(vault.recoverySlot(sealed));
    expect(vault.recoverySlot(null)).toBeNull();
  });

  test("moves its oldest keys into an archive", async () => {
    let secrets = open.secrets;
    while (secrets.encryptionKeys.length <= PAGE)
      secrets = secrets.withKey(await EncryptionKey.fresh(secrets.newest.version + 1));
    const { vault: kept, page } = await archive(open.next(secrets));

    expect([kept.secrets.encryptionKeys.map((key) => key.version), kept.secrets.archives, page?.page]).toEqual([
      [33],
      1,
      1,
    ]);
    const again = await vault.openWithPassword(await kept.sealed(), alice.user, wrap);
    const old = await openArchive(page?.ct, alice.user, 1, again.key);
    expect(old.map((key) => key.version)).toEqual(Array.from({ length: PAGE }, (_, at) => at + 1));
    await refused(() => openArchive(page?.ct, alice.user, 2, again.key), "bad_seal");
    await refused(() => openArchive(page?.ct, mallory.user, 1, again.key), "bad_seal");
    await refused(() => openArchive(null, alice.user, 1, again.key), "bad_encoding");
    expect((await archive(open)).page).toBeNull();
  });
});

describe("boxes", () => {
  test("bring the announced key to one device", async () => {
    const box = await sealBox(alice.encryption, alice.user, alice.device, alice.box.public);
    const open = (
      one = box,
      user: UserId = alice.user,
      device = alice.device,
      announced = alice.encryption.announced,
    ) => openBox(one, user, device, announced, alice.box);

    expect((await open()).secret.reveal()).toEqual(alice.encryption.secret.reveal());
    for (const changed of flips(box)) await refused(() => open(changed), "bad_seal");
    await refused(() => open(box.slice(1)), "bad_seal");
    await refused(() => open(box, mallory.user), "bad_seal");
    await refused(() => open(box, alice.user, mallory.device), "bad_seal");
    await refused(() => open(box, alice.user, alice.device, { ...alice.encryption.announced, version: 2 }), "bad_seal");
    // Anybody can seal to a box.
    const forged = await sealBox(await EncryptionKey.fresh(1), alice.user, alice.device, alice.box.public);
    await refused(() => open(forged), "bad_seal");
  });

  test("are for the live devices that have one, and for nobody who lists a bad one", async () => {
    const laptop = await aDevice("laptop");
    const tablet = { ...(await aDevice("tablet")), box: null };
    const bad = { ...(await aDevice("bad")), box: new Uint8Array(32) };
    const gone = await aDevice("gone");
    const content = [laptop, tablet, bad, gone]
      .reduce((made, device) => made.withDevice(device), alice.keys.next())
      .withRevoked(gone.id, 2_000_000_000);
    const boxes = await sealBoxes(alice.encryption, content, alice.device);

    expect(Object.keys(boxes)).toEqual([laptop.id]);
    const box = unb64(boxes[laptop.id], 80);
    const opened = await openBox(
      box,
      alice.user,
      laptop.id,
      alice.encryption.announced,
      await pairOf("X25519", await secret("box laptop")),
    );
    expect(opened.version).toBe(1);
  });
});

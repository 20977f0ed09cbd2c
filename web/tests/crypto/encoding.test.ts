/** One value has one text, and one document one reading. */

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import { Secret, same, utf8 } from "../../src/crypto/bytes";
import { b64, ctx, dump, pae, parse, Signed, sign, unb64 } from "../../src/crypto/encoding";
import { load } from "../../src/crypto/json";
import { EncryptionKey, generate } from "../../src/crypto/keys";
import { flips, type Person, person, refused } from "./people";

const KIND = "chat.e2ee.v1.test";
let alice: Person;
let mallory: Person;
beforeAll(async () => {
  [alice, mallory] = await Promise.all([person("alice"), person("mallory")]);
});

describe("base64url", () => {
  test("bytes come back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (value) => {
        expect(unb64(b64(value), value.length)).toEqual(Uint8Array.from(value));
      }),
    );
  });

  const others = ["AA==", "AA=", "A", "AAAAA", "AB", "AAB", "A A", "AA\n", "AA+/", "é", "ＡＡ", " AA", null, 1, ["AA"]];
  test.each(others.map((text) => [text]))("%j is not canonical", (text) => refused(() => unb64(text), "bad_encoding"));

  test("another length is refused", () => refused(() => unb64(b64(new Uint8Array(31)), 32), "bad_encoding"));

  test("large values are written too", () => {
    const large = new Uint8Array(200_000).fill(7);
    expect(same(unb64(b64(large)), large)).toBe(true);
  });
});

describe("contexts", () => {
  test("begin with the protocol's name", () => expect(ctx("msg", 7)).toEqual(utf8("chat.e2ee.v1\nmsg\n7")));
  test.each(["a b", "a\n", "\n", "é", "a/b"])("%j is no field", (field) => refused(() => ctx(field), "bad_encoding"));
});

test("what is signed is DSSE's", () => {
  // Source: the DSSE specification, protocol.md, "Test vectors".
  expect(pae("http://example.com/HelloWorld", utf8("hello world"))).toEqual(
    utf8("DSSEv1 29 http://example.com/HelloWorld 11 hello world"),
  );
  expect(pae("é", utf8("é"))).toEqual(utf8("DSSEv1 2 é 2 é"));
});

describe("JSON", () => {
  test("is read as JSON.parse reads it", () => {
    const whole = fc
      .jsonValue({ noUnicodeString: false, maxDepth: 4 })
      .map((value) =>
        JSON.parse(JSON.stringify(value, (_, one) => (typeof one === "number" ? Math.trunc(one % 1e9) : one))),
      );
    fc.assert(
      fc.property(whole, (value) => {
        expect(JSON.parse(JSON.stringify(load(utf8(JSON.stringify(value)))))).toEqual(value);
      }),
    );
  });

  test.each([
    '{"a":1,"a":1}',
    '{"a":{"b":1,"c":2,"b":1}}',
    '{"a":1,"\\u0061":2}',
    '{"__proto__":1,"__proto__":1}',
    '{"a":1,}',
    "[1,]",
    "[1 2]",
    "{a:1}",
    "{'a':1}",
    "NaN",
    "Infinity",
    "-",
    "01",
    "+1",
    ".5",
    "1.",
    "0x1",
    "nul",
    '"\n"',
    '"\\x"',
    '"\\u00g0"',
    '"',
    "",
    " ",
    "1 1",
    "{} x",
    "[",
    '{"a"',
    '{"a":',
    "\ufeff{}",
    "1".repeat(5_000),
  ])("%j is refused", (text) => refused(() => load(utf8(text)), "bad_encoding"));

  test("what is no UTF-8 is refused", () => refused(() => load(Uint8Array.of(0x22, 0xff, 0x22)), "bad_encoding"));
  test("very deep nesting is refused", () => refused(() => load(utf8("[".repeat(30_000))), "bad_encoding"));
  test("a long text is read", () => expect(load(utf8(`"${"\\n".repeat(16_000)}"`))).toBe("\n".repeat(16_000)));
  test("names are names", () => {
    const read = parse(utf8('{"__proto__":{"v":1},"constructor":2}'));
    expect(Object.keys(read)).toEqual(["__proto__", "constructor"]);
    expect(read.v).toBeUndefined();
  });
  test.each(["1.0", "1.5", "1e0", "1E2"])("%s is no whole number", (text) => expect(load(utf8(text))).toBeNaN());
  test.each(["1", '"a"', "[]", "null"])("%s is not one object", (text) =>
    refused(() => parse(utf8(text)), "bad_encoding"),
  );
  test("halves of surrogate pairs are not written", async () => {
    await refused(() => dump({ body: "\ud83d" }), "bad_encoding");
    expect(dump({ body: "😀" })).toEqual(utf8('{"body":"😀"}'));
  });
});

describe("signed documents", () => {
  const document = { v: 1, text: "hello" };
  let signed: Signed;
  beforeAll(async () => {
    signed = await sign(KIND, document, alice.identity.privateKey);
  });
  const verified = async (one: Signed, by: Person = alice) => one.verify(by.identity.publicKey);

  test("travel", async () => {
    const read = await Signed.read(JSON.parse(JSON.stringify(signed.envelope("uik"))), KIND);
    expect(JSON.stringify(await verified(read))).toBe(JSON.stringify(document));
    expect(read.digest).toEqual(signed.digest);
  });

  test("are not another's", () => refused(() => verified(signed, mallory), "bad_signature"));

  test("have no changed byte", async () => {
    for (const payload of flips(signed.payload))
      await refused(async () => verified(await Signed.of(KIND, payload, signed.signature)), "bad_signature");
    for (const signature of flips(signed.signature))
      await refused(async () => verified(await Signed.of(KIND, signed.payload, signature)), "bad_signature");
  });

  test("are of one kind", async () => {
    await refused(() => Signed.read(signed.envelope("uik"), `${KIND}2`), "bad_encoding");
    await refused(async () => verified(await Signed.of(`${KIND}2`, signed.payload, signed.signature)), "bad_signature");
  });

  const changes: Record<string, unknown>[] = [
    { payload: 1 },
    { payload: "A" },
    { payload: "A".repeat(50_000) },
    { signatures: [] },
    { signatures: null },
    { signatures: [{ keyid: "uik" }] },
    { signatures: [{ keyid: 1, sig: "" }] },
    { signatures: [{ keyid: "uik", sig: b64(new Uint8Array(63)) }] },
  ];
  test.each(changes)("are envelopes: not %j", (change) =>
    refused(() => Signed.read({ ...signed.envelope("uik"), ...change }, KIND), "bad_encoding"),
  );
  test.each([null, [], "", 1])("are objects: not %j", (envelope) =>
    refused(() => Signed.read(envelope, KIND), "bad_encoding"),
  );
  test("have one signature", async () => {
    const [one] = signed.envelope("uik").signatures as unknown[];
    await refused(() => Signed.read({ ...signed.envelope("uik"), signatures: [one, one] }, KIND), "bad_encoding");
  });
});

describe("keys", () => {
  test("show themselves to nobody", async () => {
    const key = await EncryptionKey.fresh(1);
    const hidden = key.secret.reveal();
    const shown = [
      JSON.stringify({ key, secret: key.secret }),
      String(key),
      String(key.secret),
      `${Object.entries(key.secret)}`,
    ];
    for (const text of shown) {
      expect(text).not.toContain(b64(hidden));
      expect(text).not.toContain(hidden.join(","));
      expect(text).not.toContain(`"0":${hidden[0]},"1":${hidden[1]}`);
    }
    expect(Object.keys(structuredClone(new Secret(hidden)))).toEqual([]);
  });

  test("that rest somewhere cannot be read out", async () => {
    const held = [(await EncryptionKey.fresh(1)).held, await generate("Ed25519"), await generate("X25519")];
    for (const { privateKey } of held) {
      expect(privateKey.extractable).toBe(false);
      for (const format of ["raw", "pkcs8", "jwk"] as const)
        await expect(crypto.subtle.exportKey(format as "pkcs8", privateKey)).rejects.toThrow();
    }
  });
});

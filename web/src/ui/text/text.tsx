import { memo } from "preact/compat";

import { tokens } from "./linkify";

/** What somebody wrote, with links that lead where they say. Nothing of it is ever parsed as HTML. */
export const RichText = memo(function RichText({ text }: { text: string }) {
  return (
    <>
      {tokens(text).map((token, index) =>
        token.kind === "link" ? (
          // By index: the tokens of one text never move.
          <a key={index} href={token.href} target="_blank" rel="noopener noreferrer" dir="auto">
            {token.text}
          </a>
        ) : (
          token.text
        ),
      )}
    </>
  );
});

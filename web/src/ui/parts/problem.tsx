import { Icon } from "./icon";

/** Why something was not done. The region is always there, so that it is read aloud when it fills. */
export function Problem({ text }: { text: string | null }) {
  return (
    <div role="alert" class={text === null ? "problem-empty" : "problem"}>
      {text !== null && (
        <>
          <Icon name="alert" />
          <span dir="auto">{text}</span>
        </>
      )}
    </div>
  );
}

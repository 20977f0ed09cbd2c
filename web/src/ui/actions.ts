/** What a button starts: busy while it runs, and what went wrong in words. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { inWords } from "./refusals";

export interface Action {
  readonly busy: boolean;
  readonly problem: string | null;
  /** Runs one thing at a time; answers whether it was done. */
  run(what: () => Promise<unknown>): Promise<boolean>;
  forget(): void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const running = useRef(false);
  const gone = useRef(false);

  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
    };
  }, []);

  const run = useCallback(async (what: () => Promise<unknown>) => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setProblem(null);
    try {
      await what();
      return true;
    } catch (error) {
      const said = inWords(error);
      if (!gone.current) setProblem(said);
      return false;
    } finally {
      running.current = false;
      if (!gone.current) setBusy(false);
    }
  }, []);

  const forget = useCallback(() => setProblem(null), []);
  return { busy, problem, run, forget };
}

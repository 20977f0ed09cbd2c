/** The one `Messenger` of a page, for whichever component asks. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Messenger } from "../messenger";

export const MessengerContext = createContext<Messenger | null>(null);

export function useMessenger(): Messenger {
  const messenger = useContext(MessengerContext);
  if (messenger === null) throw new Error("no messenger around this component");
  return messenger;
}

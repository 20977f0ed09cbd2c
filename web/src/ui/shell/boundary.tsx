import { Component, type ComponentChildren } from "preact";

import { Stopped } from "../entry/stopped";

/** A mistake of ours in a screen is told as one: a page that stays empty would tell nothing. */
export class Boundary extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ failed: true });
  }

  override render() {
    return this.state.failed ? <Stopped reason="fault" /> : this.props.children;
  }
}

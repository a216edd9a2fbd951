// A question that must be answered before something happens.
import { h } from "../dom.js";

const REASON_CHARS = 500;

/** A dialog element on the page that takes itself away when it is closed. */
export function openDialog(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/**
 * Ask, with a reason, and send; the dialog stays with the message when the gateway refuses.
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, explain, action, tone = "", needReason = true, withReason = true, keep = "Keep as it is", send }) {
  return new Promise((resolve) => {
    let done = false;
    const refusal = h("p", { class: "refused", role: "alert" });
    const reason = h("textarea", { id: "ask-reason", rows: 3, maxlength: REASON_CHARS, required: needReason && withReason, "aria-describedby": "ask-explain" });
    const confirm = h("button", { class: tone === "danger" ? "danger" : "main", type: "submit" }, action);
    const form = h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const text = reason.value.trim();
      refusal.textContent = withReason && needReason && !text ? "Give a reason." : "";
      if (refusal.textContent) return reason.focus();
      confirm.disabled = true;
      try {
        await send(text);
        done = true;
        dialog.close();
      } catch (error) {
        refusal.textContent = error.message;
        confirm.disabled = false;
      }
    } },
    h("h2", { id: "ask-title" }, title),
    h("p", { class: "lead", id: "ask-explain" }, explain),
    withReason && [h("label", { for: "ask-reason" }, needReason ? "Reason" : "Reason (optional)"), reason], refusal,
    h("div", { class: "actions" },
      h("button", { type: "button", onclick: () => dialog.close() }, keep), confirm));
    form.noValidate = true;
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title" }, form);
    dialog.addEventListener("close", () => resolve(done));
    openDialog(dialog);
    (withReason ? reason : confirm).focus();
  });
}
